import { AppError } from "@baton/protocol";
import type { Witness } from "../cluster.port.ts";
import type { Deadline } from "../deadline.ts";
import { type Place, assertOurs, finalizer, placementLabel } from "./names.ts";
import { type PlacementRecord, buryRecord, findRecord, markEnding } from "./placement-record.ts";
import { type FoundPod, findPod, hasEnded, listPods, statusOfContainer } from "./pods.ts";
import { pollCalmly } from "./poll-calmly.ts";
import { witnessPod } from "./witness-pod.ts";

const loggedLines = 10_000;
/** A secret takes a megabyte. */
const longestLog = 500_000;
/** So long a container may be between two lives. */
const settleMs = 20_000;

/**
 * Deletes the workload that was seen, waits for the node's word on every container of the placement's pods, and lets them go. The user's other objects
 * stay, and the secret with the agent's log, so that the id is not used again.
 *
 * @throws AppError `wrong-state` while a process of the application lives or that is not known
 */
export async function removeWorkload(place: Place, placement: string, deadline: Deadline): Promise<void> {
  const { signal } = deadline;
  deadline.begin("looking at its record");
  const record = await findRecord(place, placement, signal);
  if (record === null || record.isRemoved) return;
  if (!(await isOnItsWayOut(place, placement, record, signal))) {
    await assertTerminated(place, placement, deadline);
    await markEnding(place, placement, record, signal);
  }
  deadline.begin("reading its agent's log");
  const log = await readLog(place, record, signal);
  deadline.begin("deleting its workload");
  await deleteWorkload(place, placement, record, signal);
  deadline.begin("waiting for its node's word on its containers");
  await pollCalmly(signal, async () => {
    const pods = await listPods(place, placement, signal);
    for (const pod of pods) await letGo(place, { ...record, isEnding: true }, pod, signal);
    return pods.length === 0 ? true : undefined;
  });
  deadline.begin("taking its keys away");
  await buryRecord(place, placement, log, signal);
}

/** Its end was begun by an earlier call, and cannot be called off: no container of a deleted pod is started again. */
async function isOnItsWayOut(
  place: Place,
  placement: string,
  record: PlacementRecord,
  signal: AbortSignal,
): Promise<boolean> {
  if (!record.isEnding) return false;
  const pod = await findPod(place, placement, record, signal);
  return pod === null || pod.isDeleted;
}

/** A container that ended is started again by its node, which is soon over; what is seen then counts. */
async function assertTerminated(place: Place, placement: string, deadline: Deadline): Promise<void> {
  const endAt = performance.now() + Math.min(settleMs, deadline.remainingMs() / 2);
  const seen = await pollCalmly<Witness>(deadline.signal, async () => {
    const witness = await witnessPod(place, placement, deadline);
    return witness.state === "unknown" && performance.now() < endAt ? undefined : witness;
  });
  if (seen.state === "terminated") return;
  const pids = seen.processes.map(({ pid }) => pid).join(", ");
  const why =
    seen.state === "running"
      ? `its application lives (process ${pids})`
      : `it is unknown what runs (${seen.detail})`;
  throw new AppError(
    "wrong-state",
    `cannot remove placement ${placement}: ${why}; stop the application first`,
  );
}

async function readLog(
  { client, namespace }: Place,
  { pod }: PlacementRecord,
  signal: AbortSignal,
): Promise<string> {
  if (pod === null) return "";
  const log = await client.log({
    namespace,
    pod: pod.name,
    container: pod.container,
    lines: loggedLines,
    signal,
  });
  return (log ?? "").slice(-longestLog);
}

async function deleteWorkload(
  place: Place,
  placement: string,
  { workload }: PlacementRecord,
  signal: AbortSignal,
): Promise<void> {
  const there = await place.client.get({ ...workload, signal });
  if (there === null) return;
  assertOurs(place, there, { [placementLabel]: placement });
  const { uid = "" } = there.metadata;
  await place.client.delete({ ...workload, uid, signal });
}

/** A pod that never was the placement's may have nothing running: nobody was told of its agent. */
async function letGo(
  { client, namespace }: Place,
  { pod: recorded, isEnding }: PlacementRecord,
  pod: FoundPod,
  signal: AbortSignal,
): Promise<void> {
  const named = { apiVersion: "v1", kind: "Pod", namespace, name: pod.name };
  if (!pod.isDeleted) {
    await client.delete({ ...named, uid: pod.uid, signal });
    return;
  }
  const isSeen = pod.containers.every((container) => {
    const status = statusOfContainer(pod, container);
    if (status === undefined) return recorded?.uid !== pod.uid;
    const { state, lastState } = status;
    const isWaiting = state.running === undefined && state.terminated === undefined;
    // On its way out it is not started again: what it waits for does not come. A node of Kubernetes 1.20 forgets within seconds how it ended, and says
    // then that it waits to be made; what lived in it was seen before its end was begun.
    return hasEnded(state) || (isWaiting && (hasEnded(lastState) || recorded?.uid !== pod.uid || isEnding));
  });
  const finalizers = pod.object.metadata.finalizers ?? [];
  if (!isSeen || !finalizers.includes(finalizer)) return;
  const patch = { metadata: { finalizers: finalizers.filter((each) => each !== finalizer) } };
  await client.patch({ ...named, seen: pod.object, patch, signal });
}
