import { integer, object, parseAs } from "@baton/protocol";
import * as v from "valibot";
import type { KubeObject } from "./kube-client.ts";
import { type Place, placementLabel } from "./names.ts";
import type { PlacementRecord } from "./placement-record.ts";

const endedSchema = object({ reason: v.optional(v.string()), exitCode: integer });
const stateSchema = object({
  running: v.optional(object({})),
  terminated: v.optional(endedSchema),
  waiting: v.optional(object({ reason: v.optional(v.string(), ""), message: v.optional(v.string(), "") })),
});

const portSchema = object({ containerPort: integer, hostPort: v.optional(integer) });
const podSchema = object({
  spec: object({
    nodeName: v.optional(v.string()),
    containers: v.array(object({ name: v.string(), ports: v.optional(v.array(portSchema), []) })),
  }),
  status: v.optional(
    object({
      phase: v.optional(v.string(), ""),
      podIP: v.optional(v.string()),
      hostIP: v.optional(v.string()),
      conditions: v.optional(
        v.array(object({ type: v.string(), status: v.string(), message: v.optional(v.string(), "") })),
        [],
      ),
      containerStatuses: v.optional(
        v.array(
          object({
            name: v.string(),
            restartCount: integer,
            state: v.optional(stateSchema, {}),
            lastState: v.optional(stateSchema, {}),
          }),
        ),
        [],
      ),
    }),
    {},
  ),
});

export type ContainerStatus = v.InferOutput<typeof podSchema>["status"]["containerStatuses"][number];

export interface FoundPod {
  readonly object: KubeObject;
  readonly name: string;
  readonly uid: string;
  readonly isDeleted: boolean;
  readonly node: string | undefined;
  readonly podIp: string | undefined;
  readonly hostIp: string | undefined;
  readonly containers: readonly string[];
  readonly ports: readonly v.InferOutput<typeof portSchema>[];
  readonly statuses: readonly ContainerStatus[];
  /** Why it has no node, in the scheduler's words. */
  readonly unscheduled: string | null;
}

function readPod(object: KubeObject): FoundPod {
  const { metadata } = object;
  const what = `pod ${metadata.name}`;
  const { spec, status } = parseAs(podSchema, object, what, "cluster-unavailable");
  const scheduled = status.conditions.find(({ type }) => type === "PodScheduled");
  return {
    object,
    name: metadata.name,
    uid: metadata.uid ?? "",
    isDeleted: metadata.deletionTimestamp !== undefined,
    node: spec.nodeName,
    podIp: status.podIP,
    hostIp: status.hostIP,
    containers: spec.containers.map(({ name }) => name),
    ports: spec.containers.flatMap(({ ports }) => ports),
    statuses: status.containerStatuses,
    unscheduled: scheduled?.status === "False" ? scheduled.message : null,
  };
}

/** Every pod that bears the placement's label, also those that somebody else had made. The oldest is first. */
export async function listPods(
  { client, namespace }: Place,
  placement: string,
  signal: AbortSignal,
): Promise<readonly FoundPod[]> {
  const labels = `${placementLabel}=${placement}`;
  const found = await client.list({ apiVersion: "v1", kind: "Pod", namespace, labels, signal });
  const bornAt = ({ metadata }: KubeObject): string =>
    `${String(metadata["creationTimestamp"])} ${metadata.name}`;
  return found.toSorted((one, other) => (bornAt(one) < bornAt(other) ? -1 : 1)).map(readPod);
}

/** The placement's pod: the recorded one and never another; before one is recorded, the oldest that is not on its way out. */
export async function findPod(
  place: Place,
  placement: string,
  { pod: recorded }: PlacementRecord,
  signal: AbortSignal,
): Promise<FoundPod | null> {
  if (recorded === null)
    return (await listPods(place, placement, signal)).find(({ isDeleted }) => !isDeleted) ?? null;
  const { client, namespace } = place;
  const object = await client.get({ apiVersion: "v1", kind: "Pod", namespace, name: recorded.name, signal });
  return object?.metadata.uid === recorded.uid ? readPod(object) : null;
}

export const statusOfContainer = ({ statuses }: FoundPod, name: string): ContainerStatus | undefined =>
  statuses.find((each) => each.name === name);

/** The node's own word that the container ended; it says another one when it lost sight of it. */
export const hasEnded = ({ terminated }: ContainerStatus["state"]): boolean =>
  terminated !== undefined && terminated.reason !== "ContainerStatusUnknown";
