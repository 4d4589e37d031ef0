import { AppError, parseAs, placementIdSchema } from "@baton/protocol";
import type { KubeClient, KubeObject } from "./kube-client.ts";

export interface Place {
  readonly client: KubeClient;
  /** The cluster's name. */
  readonly name: string;
  readonly namespace: string;
}

export const placementLabel = "baton.dev/placement";
export const clusterLabel = "baton.dev/cluster";
export const applicationLabel = "baton.dev/application";
/** On the secret of a placement that is no more. */
export const removedLabel = "baton.dev/removed";
export const specAnnotation = "baton.dev/spec";
export const workloadAnnotation = "baton.dev/workload";
export const podAnnotation = "baton.dev/pod";
/** On the secret of a placement whose end was begun when nothing of its application lived: its value is the pod's UID. */
export const endingAnnotation = "baton.dev/ending";
/** Keeps a pod until the node's word on its end was seen. */
export const finalizer = "baton.dev/witness";

/** @throws AppError `invalid-request` for anything but a placement's id, since it becomes a part of names and queries */
export function secretNameOf(placement: string): string {
  parseAs(placementIdSchema, placement, "the placement's id");
  return `baton-${placement}`;
}

/** Random, and the same for every object of the placement. */
export const suffixOf = (placement: string): string => placement.slice(-8);

export const labelsOf = (
  cluster: string,
  { placement, application }: { readonly placement: string; readonly application: string },
): Record<string, string> => ({
  [clusterLabel]: cluster,
  [placementLabel]: placement,
  [applicationLabel]: application,
});

const nameOf = ({ kind, metadata: { name } }: KubeObject): string => `${kind} "${name}"`;

/** @throws AppError `placement-conflict` for what somebody else made: it is never taken over, and never touched */
export function assertOurs(
  { name, namespace }: Place,
  object: KubeObject,
  expected: Readonly<Record<string, string>>,
): void {
  const { labels = {} } = object.metadata;
  if (Object.entries(expected).every(([key, value]) => labels[key] === value)) return;
  throw new AppError(
    "placement-conflict",
    `cannot use ${nameOf(object)} in namespace ${namespace} of ${name}: it is there without the labels of this one; remove or rename it by hand, it is never taken over`,
  );
}
