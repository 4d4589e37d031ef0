import * as v from "valibot";
import { agentPortInContainer } from "./container.ts";
import { integer, strictObject } from "./schema.ts";

const workloadKinds: Readonly<Record<string, string>> = {
  Pod: "v1",
  Deployment: "apps/v1",
  ReplicaSet: "apps/v1",
  StatefulSet: "apps/v1",
  Job: "batch/v1",
};

/** Strict about what an object is, loose about what is in it. */
const objectSchema = v.looseObject({
  apiVersion: v.string(),
  kind: v.string(),
  metadata: v.looseObject({
    name: v.pipe(
      v.string(),
      v.regex(
        /^[a-z0-9]([-.a-z0-9]{0,61}[a-z0-9])?$/,
        "must be a name of an object, of 63 characters at most",
      ),
    ),
  }),
});
type KubernetesObject = v.InferOutput<typeof objectSchema>;

/** Whether the object is what makes the application's pod. */
export const isKubernetesWorkload = ({ apiVersion, kind }: KubernetesObject): boolean =>
  workloadKinds[kind] === apiVersion;

const fieldOf = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>(
    (at, name) => (typeof at === "object" && at !== null ? (at as Record<string, unknown>)[name] : undefined),
    value,
  );

/** The specification of the pod that a workload makes. */
const podSpecOf = (workload: KubernetesObject | undefined): unknown =>
  workload?.kind === "Pod" ? workload["spec"] : fieldOf(workload, "spec", "template", "spec");

const containerNamesOf = (objects: readonly KubernetesObject[]): readonly unknown[] => {
  const containers = fieldOf(podSpecOf(objects.find(isKubernetesWorkload)), "containers");
  return Array.isArray(containers) ? containers.map((each) => fieldOf(each, "name")) : [];
};

/**
 * The application's own objects for clusters of Kubernetes. One of them makes its pod, in one container of which the agent takes the place of the
 * command; what the agent executes is the manifest's `workload.command`.
 */
export const kubernetesSchema = v.pipe(
  strictObject({
    objects: v.pipe(
      v.array(objectSchema),
      v.maxLength(64),
      v.check(
        (objects) => objects.filter(isKubernetesWorkload).length === 1,
        `must have exactly one workload (${Object.entries(workloadKinds)
          .map(([kind, version]) => `${kind} of ${version}`)
          .join(", ")})`,
      ),
      v.check(
        (objects) => objects.every(({ kind }) => kind !== "Secret"),
        "must have no Secret, since it would be in every record of the application: make it on each cluster, and name it",
      ),
      v.check((objects) => (replicasOf(objects) ?? 1) === 1, "must have one replica: only one may write"),
      v.check(
        (objects) => objects.every((each) => fieldOf(each, "spec", "volumeClaimTemplates") === undefined),
        "must have no volumeClaimTemplates: volumes are not moved",
      ),
    ),
    /** Which container is the application, where the pod has several. */
    container: v.optional(v.pipe(v.string(), v.minLength(1))),
    /** How the agent in the image is called; without it the cluster's agent is put in, which the image's `node` runs. */
    agent: v.optional(v.pipe(v.array(v.pipe(v.string(), v.minLength(1))), v.minLength(1))),
    /** Where the application listens; without it, the first port that its container names, or 8080. */
    port: v.optional(
      v.pipe(
        integer,
        v.minValue(1),
        v.maxValue(65_535),
        v.check((port) => port !== agentPortInContainer, `must not be ${agentPortInContainer}, the agent's`),
      ),
    ),
    /** Where clients reach it, if not at its host port or its pod. */
    url: v.optional(
      v.pipe(
        v.string(),
        v.regex(
          /^https?:\/\/[^\s@?#]+$/,
          "must be an http or https URL without a user, a query or a fragment",
        ),
        v.check((url) => URL.canParse(url), "must be a URL"),
      ),
    ),
  }),
  v.check(
    ({ objects, container }) => container === undefined || containerNamesOf(objects).includes(container),
    "must name a container that its workload has",
  ),
  v.check(
    ({ objects, container }) => container !== undefined || containerNamesOf(objects).length === 1,
    'must say which "container" is the application, since its workload has none or several',
  ),
);
export type KubernetesManifest = v.InferOutput<typeof kubernetesSchema>;

function replicasOf(objects: readonly KubernetesObject[]): unknown {
  const workload = objects.find(isKubernetesWorkload);
  return fieldOf(workload, "spec", "replicas") ?? fieldOf(workload, "spec", "parallelism");
}
