import { object, parseAs } from "@baton/protocol";
import * as v from "valibot";
import type { Witness } from "../cluster.port.ts";
import type { Deadline } from "../deadline.ts";
import { agentCommandOf } from "./agent-files.ts";
import { type FoundContainer, type Place, findContainer } from "./containers.ts";
import { wasEverUp } from "./reach-agent.ts";

const topSchema = object({ Processes: v.nullable(v.array(v.array(v.string()))) });
const argumentsOf = { podman: "pid,ppid,args", docker: "-eo pid,ppid,args" };

/** Engines note a start after it happened: what ended at once did so before it had begun. */
const noteMs = 2_000;

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/**
 * What the engine says of the container and of every process in it but the init and the agent, whatever that says itself. A container whose first process
 * ended has no other one, by the kernel; but of one that the engine lost sight of (a restart of the machine, of Podman's own records) nothing is known until
 * its agent was started again.
 */
export async function witnessContainer(
  place: Place,
  placement: string,
  deadline: Deadline,
): Promise<Witness> {
  const { signal } = deadline;
  deadline.begin("looking at its container");
  const container = await findContainer(place, placement, signal);
  if (container === null) return unknown(`there is no container of placement ${placement} on ${place.name}`);
  if (container.state.isRunning) return witnessRunning(place, container, deadline);
  const { status, startedAt, finishedAt } = container.state;
  const found = { agentAlive: false, processes: [], observedAt: new Date().toISOString() };
  if (startedAt === null && status === "created" && !(await wasEverUp(place, placement, signal)))
    return { ...found, state: "terminated", detail: null };
  const hasEnded = ["exited", "stopped", "dead"].includes(status);
  if (hasEnded && startedAt !== null && finishedAt !== null && finishedAt >= startedAt - noteMs)
    return { ...found, state: "terminated", detail: null };
  return unknown(`its container is "${status}", and the engine saw no end of it; start its agent again`);
}

async function witnessRunning(
  { engine, name }: Place,
  container: FoundContainer,
  deadline: Deadline,
): Promise<Witness> {
  const { signal } = deadline;
  if (container.state.isPaused) return unknown("its container is paused");
  deadline.begin("listing the processes of its container");
  const answer = await engine.call({
    method: "GET",
    path: `/containers/${container.id}/top`,
    query: { ps_args: argumentsOf[await engine.kind(signal)] },
    what: `list the processes of container ${container.id.slice(0, 12)} on ${name}`,
    signal,
    // It ended meanwhile, or does not list: both leave open what runs.
    expect: [404, 409, 500],
  });
  if (answer.status > 299) return unknown("the processes of its container could not be listed");
  const { Processes: rows } = parseAs(
    topSchema,
    answer.json(),
    "the list of processes",
    "cluster-unavailable",
  );
  const listed = (rows ?? []).map(([pid, parent, ...words]) => ({
    pid: Number(pid),
    parent: Number(parent),
    command: words.join(" "),
  }));
  return judge(listed);
}

/** The init is whose parent is not among them, the agent is its child with the agent's arguments; a list without either is none. */
export function judge(listed: readonly Process[]): Witness {
  const pids = new Set(listed.map(({ pid }) => pid));
  const isWhole = listed.every(({ pid, parent }) => Number.isInteger(pid) && Number.isInteger(parent));
  // Whoever is executed in a container from outside has no parent in it either.
  const inits = listed.filter(({ parent, command }) => !pids.has(parent) && isInit(command));
  const [init] = inits;
  if (!isWhole || init === undefined || inits.length > 1)
    return unknown("the list of its container's processes shows no init");
  const agents = listed.filter(({ parent, command }) => parent === init.pid && isAgent(command));
  const others = listed.filter((each) => each !== init && each !== agents[0]);
  return {
    state: others.length > 0 ? "running" : "terminated",
    agentAlive: agents.length > 0,
    processes: others.map(({ pid, command }) => ({ pid, command: command.split(" ")[0] ?? command })),
    detail: null,
    observedAt: new Date().toISOString(),
  };
}

const agentArguments = agentCommandOf({ image: "", pull: "never", port: 1 }).slice(-3).join(" ");
const isAgent = (command: string): boolean => command.endsWith(` ${agentArguments}`);

/** Podman's is catatonit, Docker's is tini, each with the agent's command behind it. */
const isInit = (command: string): boolean =>
  isAgent(command) && /^\S*(?:podman-init|docker-init|catatonit|tini)\s/.test(command);

const unknown = (detail: string): Witness => ({
  state: "unknown",
  agentAlive: false,
  processes: [],
  detail,
  observedAt: new Date().toISOString(),
});
