import { isAppError } from "@baton/protocol";
import type { Witness } from "../cluster.port.ts";
import type { Deadline } from "../deadline.ts";
import { isAgentLook, isAgentRun } from "./agent-config.ts";
import { type PodProcess, lookIntoPod } from "./look-into-pod.ts";
import type { Place } from "./names.ts";
import { findRecord } from "./placement-record.ts";
import { findPod, hasEnded, statusOfContainer } from "./pods.ts";

const inits = /^(?:\S*\/)?(?:tini|dumb-init|catatonit|docker-init)\s/;

/**
 * What the node says of the container in the recorded pod, and of every process in it but the agent, whatever that says itself. A placement whose agent
 * nobody was told of has started nothing.
 */
export async function witnessPod(place: Place, placement: string, deadline: Deadline): Promise<Witness> {
  const { signal } = deadline;
  deadline.begin("looking at its record");
  const record = await findRecord(place, placement, signal);
  if (record === null || record.isRemoved)
    return unknown(`there is no placement ${placement} on ${place.name}`);
  if (record.pod === null) return terminated(false);
  deadline.begin("looking at its pod");
  const pod = await findPod(place, placement, record, signal);
  if (pod === null) return unknown("its pod is gone, and nobody saw how its container ended");
  const status = statusOfContainer(pod, record.pod.container);
  if (status === undefined) return unknown("its node says nothing of its container");
  if (hasEnded(status.state)) return terminated(false);
  if (status.state.running === undefined)
    return unknown(`its container is about to run again (${status.state.waiting?.reason ?? "no state"})`);
  deadline.begin("listing the processes of its container");
  try {
    const looked = await lookIntoPod(place, { ...record.pod, pod: record.pod.name }, signal);
    return looked === null
      ? unknown("the processes of its container could not be listed")
      : judge(looked.processes);
  } catch (error) {
    if (signal.aborted || !isAppError(error)) throw error;
    return unknown(`the processes of its container could not be listed (${error.message})`);
  }
}

/**
 * The first process is the agent, or an init whose child the agent is. Everything else is the application, but whoever looks: that one comes from outside
 * and has no parent here.
 */
export function judge(listed: readonly PodProcess[]): Witness {
  const first = listed.find(({ pid }) => pid === 1);
  if (first === undefined || !isAgentRun(first.command))
    return unknown("the list of its container's processes does not begin with the agent");
  const isBelowInit = inits.test(first.command);
  const agent = isBelowInit
    ? listed.find(({ parent, command }) => parent === 1 && isAgentRun(command))
    : first;
  const others = listed.filter(
    (each) => each !== first && each !== agent && !(each.parent === 0 && isAgentLook(each.command)),
  );
  return {
    state: others.length > 0 ? "running" : "terminated",
    agentAlive: agent !== undefined,
    processes: others.map(({ pid, command }) => ({ pid, command: command.split(" ")[0] ?? command })),
    detail: null,
    observedAt: new Date().toISOString(),
  };
}

const terminated = (agentAlive: boolean): Witness => ({
  state: "terminated",
  agentAlive,
  processes: [],
  detail: null,
  observedAt: new Date().toISOString(),
});

const unknown = (detail: string): Witness => ({
  state: "unknown",
  agentAlive: false,
  processes: [],
  detail,
  observedAt: new Date().toISOString(),
});
