import type { KubeObject } from "../kube-object.ts";
import type { Right } from "./missing-rights.ts";

/** What the driver does to every placement, whatever its application consists of. */
const always: readonly Right[] = [
  { apiVersion: "v1", kind: "Secret", verbs: ["get", "list", "create", "patch"] },
  { apiVersion: "v1", kind: "ConfigMap", verbs: ["get", "create"] },
  { apiVersion: "v1", kind: "Pod", verbs: ["get", "list", "patch", "delete"] },
  { apiVersion: "v1", kind: "Pod", part: "log", verbs: ["get"] },
  // A stream that is asked for by GET, as websockets are; newer servers want the other verb as well.
  { apiVersion: "v1", kind: "Pod", part: "exec", verbs: ["get", "create"] },
  { apiVersion: "v1", kind: "Pod", part: "proxy", verbs: ["get", "create"] },
];

/** What the driver does for an application of these objects; `workload` is the one that makes its pod. */
export function driverRights(objects: readonly KubeObject[], workload: KubeObject | null): readonly Right[] {
  const kinds = new Map(
    objects
      .filter((object) => object !== workload)
      .map(({ apiVersion, kind }) => [`${apiVersion} ${kind}`, { apiVersion, kind }]),
  );
  // An apply of what is not there yet is a creation too.
  const others = [...kinds.values()].map((kind) => ({ ...kind, verbs: ["get", "create", "patch"] }));
  if (workload === null) return [...always, { apiVersion: "v1", kind: "Pod", verbs: ["create"] }, ...others];
  const { apiVersion, kind } = workload;
  return [...always, { apiVersion, kind, verbs: ["get", "list", "create", "delete"] }, ...others];
}
