import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { ProcessIdentity } from "@baton/process-tree";
import { agentEndpointSchema, parseAs } from "@baton/protocol";
import { endProcess } from "./end-process.ts";

const graceMs = 15_000;

/**
 * Ends every agent below these clusters' directories; an agent stops its application before it goes. Whoever could start another agent there must
 * have ended before.
 */
export async function endPlacements(directories: readonly string[]): Promise<void> {
  const agents = (await Promise.all(directories.map(agentsOf))).flat();
  await Promise.all(agents.map(endAgent));
}

async function agentsOf(directory: string): Promise<readonly ProcessIdentity[]> {
  const placements = join(directory, "placements");
  const names = await readdir(placements).catch(() => []);
  const found = await Promise.all(
    names.flatMap((name) => [readAgent(join(placements, name)), readSpawnedAgent(join(placements, name))]),
  );
  return found.filter((agent) => agent !== null);
}

/** The agent of a placement's directory, dead or alive; null when it never listened. */
export async function readAgent(placement: string): Promise<ProcessIdentity | null> {
  try {
    return parseAs(
      agentEndpointSchema,
      JSON.parse(await readFile(join(placement, "state", "endpoint.json"), "utf8")),
      "the endpoint",
    );
  } catch {
    return null;
  }
}

/** The agent that the cluster's driver started last; it may not listen yet. */
async function readSpawnedAgent(placement: string): Promise<ProcessIdentity | null> {
  try {
    const { agent } = JSON.parse(await readFile(join(placement, "spawn.json"), "utf8")) as {
      readonly agent: ProcessIdentity | null;
    };
    return agent;
  } catch {
    return null;
  }
}

async function endAgent(agent: ProcessIdentity): Promise<void> {
  if (await endProcess(agent, "SIGTERM", graceMs)) return;
  throw new Error(
    `agent ${agent.pid} did not end in ${graceMs} ms and was killed; its application may still run`,
  );
}
