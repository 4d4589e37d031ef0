import { AppError } from "@baton/protocol";
import { isAlive, signalProcess } from "@baton/process-tree";
import type { PlacedAgent, PlacementSpec } from "../cluster.port.ts";
import { agentConfigOf, isMadeFrom } from "./agent-config.ts";
import { answersLivez } from "../answers-livez.ts";
import { type SpawnedAgent, spawnAgent } from "./agent-process.ts";
import { identityOf, knownAgents, livingOf, readEndpoint } from "./agent-record.ts";
import { chooseApplicationPort } from "./application-port.ts";
import { type Deadline, pollUntil } from "../deadline.ts";
import { type PlacementPaths, createPlacement, isRemoved, readConfig } from "./placement-directory.ts";

/** How long an agent that another driver started may need to appear after ours ended for want of the lock. */
const winnerGraceMs = 3_000;

/**
 * Makes the placement unless it exists; the port of its application stays the same for its life.
 * @throws AppError `placement-conflict` when it exists with another spec or was removed: ids are never used again
 */
export async function ensurePlacement(
  directory: string,
  spec: PlacementSpec,
  paths: PlacementPaths,
  deadline: Deadline,
): Promise<void> {
  const { placement } = spec;
  deadline.begin("making its directory");
  let stored = await readConfig(directory, placement);
  if (stored === null && !(await isRemoved(paths))) {
    const config = agentConfigOf(spec, paths, await chooseApplicationPort(directory));
    deadline.begin("making its directory");
    await createPlacement(paths, config);
    stored = await readConfig(directory, placement);
  }
  // Looked at again after the making, because a removal may have come between.
  if (stored === null || (await isRemoved(paths))) {
    const detail = `cannot place ${placement}: it was removed from here, and its id is not used again; make a new placement`;
    throw new AppError("placement-conflict", detail);
  }
  if (isMadeFrom(stored, spec, paths)) return;
  const detail = `cannot place ${placement}: it exists here with another spec; remove it or make a new placement`;
  throw new AppError("placement-conflict", detail);
}

/** Starts the placement's agent unless one lives, and waits until it answers. Two callers at once get the same agent. */
export async function ensureAgent(
  directory: string,
  placement: string,
  paths: PlacementPaths,
  agentCommand: readonly string[],
  deadline: Deadline,
): Promise<PlacedAgent> {
  let spawned: SpawnedAgent | null = null;
  deadline.begin(`waiting for its agent to answer (its log: ${paths.log})`);
  const placed = await pollUntil(deadline.signal, async () => {
    const reached = await reachAgent(directory, placement, paths, deadline.signal);
    if (reached !== "dead") return reached === "silent" ? undefined : reached;
    if (spawned === null) {
      spawned = await spawnAgent(paths, agentCommand, deadline);
      return undefined;
    }
    // Ours may have ended because another driver's has the lock, and that one may not listen yet.
    const ended = spawned.ended();
    if (ended !== null && performance.now() - ended.at > winnerGraceMs) {
      const detail = `cannot place ${placement}: its agent ended with ${ended.how}; see ${paths.log}`;
      throw new AppError("cluster-unavailable", detail);
    }
    return undefined;
  });
  await endLoser(spawned, placed, deadline);
  return placed;
}

/** An agent of ours that lost to another driver's must not live on, for it would take the lock when the winner is ended. */
async function endLoser(
  spawned: SpawnedAgent | null,
  placed: PlacedAgent,
  deadline: Deadline,
): Promise<void> {
  const loser = spawned?.identity ?? null;
  if (loser === null || loser.pid === placed.endpoint.pid) return;
  deadline.begin("ending an agent that lost to another one");
  await signalProcess(loser, "SIGKILL");
  await pollUntil(deadline.signal, async () => ((await isAlive(loser)) ? undefined : true));
}

/** The agent if it answers; `silent` when one lives but does not answer (yet), `dead` when none lives. */
export async function reachAgent(
  directory: string,
  placement: string,
  paths: PlacementPaths,
  signal: AbortSignal,
): Promise<PlacedAgent | "silent" | "dead"> {
  const endpoint = await readEndpoint(paths, placement);
  if (endpoint === null || (await livingOf([identityOf(endpoint)])).length === 0)
    return (await livingOf(await knownAgents(paths, placement))).length > 0 ? "silent" : "dead";
  if (!(await answersLivez(endpoint.url, signal))) return "silent";
  const config = await readConfig(directory, placement);
  if (config === null) return "dead";
  return { endpoint, applicationUrl: `http://127.0.0.1:${config.applicationPort}` };
}
