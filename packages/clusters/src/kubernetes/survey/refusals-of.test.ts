import { describe, expect, it } from "vitest";
import type { KubeObject } from "../kube-object.ts";
import { readQuantity } from "./quantity.ts";
import { judgeAdmission } from "./refusals-of.ts";

const object = (kind: string, rest: object, namespace = "shop") =>
  ({ apiVersion: "v1", kind, metadata: { name: "it", namespace }, ...rest }) as KubeObject;
const pod = (...resources: readonly object[]) =>
  object("Pod", { spec: { containers: resources.map((one, n) => ({ name: `c${n}`, resources: one })) } });
const quota = (hard: object, used: object = {}, spec: object = {}) =>
  object("ResourceQuota", { spec, status: { hard, used } });
const range = (...limits: readonly object[]) => object("LimitRange", { spec: { limits } });
const half = { requests: { cpu: "500m", memory: "64Mi" }, limits: { cpu: 1, memory: "128Mi" } };
const judge = (
  who: ReturnType<typeof pod>,
  quotas: readonly ReturnType<typeof pod>[],
  limitRanges: readonly ReturnType<typeof pod>[] = [],
) => judgeAdmission([who], { quotas, limitRanges });

describe("admission", () => {
  it.each<[string, object, object, string | null]>([
    ["room for a pod", { pods: "2" }, { pods: "1" }, null],
    ["no room for a pod", { pods: "2" }, { pods: "2" }, "leaves 0 of pods, and Pod shop/it needs 1"],
    ["just enough", { "requests.cpu": "1", "limits.memory": "1Gi" }, { "requests.cpu": "0" }, null],
    ["too little cpu", { cpu: "1" }, { cpu: "100m" }, "leaves 0.9 of cpu, and Pod shop/it needs 1"],
    [
      "too little memory within limits",
      { "limits.memory": "255Mi" },
      { "limits.memory": "0" },
      `leaves ${255 * 2 ** 20} of limits.memory`,
    ],
    ["what a pod uses nothing of", { "count/secrets": "0", services: "0" }, {}, null],
    [
      "what is not said",
      { "requests.ephemeral-storage": "1Gi" },
      {},
      "wants requests.ephemeral-storage to be said",
    ],
  ])("sees %s in a quota", (_what, hard, used, refusal) => {
    const { refusals, unclear } = judge(pod(half, half), [quota(hard, used)]);
    expect(unclear).toEqual([]);
    expect(refusals).toEqual(refusal === null ? [] : [expect.stringContaining(refusal) as string]);
  });

  it("takes for said what is limited, and what a limit range fills in", () => {
    const wants = quota({ "requests.cpu": "1", "limits.cpu": "1" });
    expect(judge(pod({ limits: { cpu: "1" } }), [wants]).refusals).toEqual([]);
    expect(judge(pod({}), [wants]).refusals).toHaveLength(2);
    const filled = range({ type: "Container", default: { cpu: "1" }, defaultRequest: { cpu: "100m" } });
    expect(judge(pod({}), [wants], [filled]).refusals).toEqual([]);
    expect(judge(pod({}, {}), [wants], [filled]).refusals).toHaveLength(1);
  });

  it("judges no quota of which it cannot say whom it counts, and says so", () => {
    const scoped = [
      quota({ pods: "0" }, {}, { scopes: ["BestEffort"] }),
      quota({ pods: "0" }, {}, { scopeSelector: {} }),
      object("ResourceQuota", {}),
    ];
    const { refusals, unclear } = judge(pod(half), scoped);
    expect(refusals).toEqual([]);
    expect(unclear).toHaveLength(3);
  });

  it("sees what a limit range wants of each container and of the pod", () => {
    const refused = (...limits: readonly object[]) => judge(pod(half, half), [], [range(...limits)]).refusals;
    expect(refused({ type: "Container", min: { cpu: "500m" }, max: { memory: "128Mi" } })).toEqual([]);
    expect(refused({ type: "Container", min: { cpu: "501m" } })[0]).toContain("requests less cpu");
    expect(refused({ type: "Container", max: { memory: "127Mi" } })[0]).toContain("more memory");
    expect(refused({ type: "Pod", max: { memory: "255Mi" } })[0]).toContain("255Mi for a Pod");
    expect(refused({ type: "Pod", max: { memory: "256Mi" } })).toEqual([]);
    expect(refused({ type: "PersistentVolumeClaim", max: { storage: "1" } })).toEqual([]);
    expect(judge(pod({}), [], [range({ type: "Container", max: { cpu: "8" } })]).refusals).toHaveLength(1);
  });

  it("is another namespace's matter, and none of what has no pods", () => {
    const elsewhere = object("ResourceQuota", { spec: {}, status: { hard: { pods: "0" } } }, "bank");
    expect(judge(pod(half), [elsewhere]).refusals).toEqual([]);
    expect(judge(object("Secret", {}), [quota({ pods: "0" })]).refusals).toEqual([]);
  });
});

it.each([
  ["500m", 0.5],
  ["1Gi", 2 ** 30],
  ["128974848", 128_974_848],
  ["129e6", 129e6],
  ["1.5k", 1_500],
  [".5", 0.5],
  [2, 2],
  ["-1M", -1e6],
  ["many", null],
  ["1GiB", null],
  ["", null],
])("reads the quantity %s", (text, value) => expect(readQuantity(text)).toBe(value));
