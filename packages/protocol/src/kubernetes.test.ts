import { describe, expect, it } from "vitest";
import { kubernetesSchema } from "./kubernetes.ts";
import { parseAs } from "./parse.ts";

const metadata = { name: "shop" };
const pod = { containers: [{ name: "app" }] };
const workload = (spec: object, kind = "Deployment", apiVersion = "apps/v1") => ({
  apiVersion,
  kind,
  metadata,
  spec,
});
const read = (objects: readonly object[], more: object = {}) =>
  parseAs(kubernetesSchema, { objects, ...more }, "the objects");

describe("the objects of an application", () => {
  it.each([
    ["Deployment", "apps/v1"],
    ["StatefulSet", "apps/v1"],
    ["ReplicaSet", "apps/v1"],
    ["Job", "batch/v1"],
  ])("may have a %s, and anything beside it as it is", (kind, apiVersion) => {
    const objects = [
      workload({ replicas: 1, template: { spec: pod } }, kind, apiVersion),
      { apiVersion: "v1", kind: "Service", metadata, spec: { any: 1 } },
    ];
    expect(read(objects).objects).toEqual(objects);
  });

  it("may have a pod", () => {
    expect(read([workload(pod, "Pod", "v1")]).objects).toHaveLength(1);
  });

  const one = workload({ template: { spec: pod } });
  it.each([
    ["no workload", [{ apiVersion: "v1", kind: "Service", metadata }], {}, "exactly one workload"],
    ["two workloads", [one, one], {}, "exactly one workload"],
    ["a workload of another version", [{ ...one, apiVersion: "apps/v1beta1" }], {}, "exactly one workload"],
    ["a secret", [one, { apiVersion: "v1", kind: "Secret", metadata, data: {} }], {}, "must have no Secret"],
    ["two replicas", [workload({ replicas: 2, template: { spec: pod } })], {}, "must have one replica"],
    ["no replica", [workload({ replicas: 0, template: { spec: pod } })], {}, "must have one replica"],
    [
      "parallel pods",
      [workload({ parallelism: 2, template: { spec: pod } }, "Job", "batch/v1")],
      {},
      "must have one replica",
    ],
    [
      "volumes of its own",
      [workload({ volumeClaimTemplates: [], template: { spec: pod } }, "StatefulSet")],
      {},
      "volumes are not moved",
    ],
    [
      "a container that is not there",
      [one],
      { container: "other" },
      "must name a container that its workload has",
    ],
    [
      "a choice of containers",
      [workload({ template: { spec: { containers: [{ name: "a" }, { name: "b" }] } } })],
      {},
      'which "container" is the application',
    ],
    ["no container", [workload({})], {}, 'which "container" is the application'],
    [
      "a URL with a password",
      [one],
      { url: "http://me:secret@host/" },
      '"url": must be an http or https URL',
    ],
  ])("must not have %s", (_, objects, more, words) => {
    expect(() => read(objects, more)).toThrow(words);
    expect(() => read(objects, more)).not.toThrow("me:secret");
  });
});
