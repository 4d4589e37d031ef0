import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ProcessIdentity, isAlive, signalProcess } from "@baton/process-tree";
import { agentEndpointSchema } from "@baton/protocol";

const graceMs = 15_000;

/** Ends every agent below these clusters' directories; an agent stops its application before it goes. */
export async function endPlacements(directories: readonly string[]): Promise<void> {
  const agents = (await Promise.all(directories.map(agentsOf))).flat();
  await Promise.all(agents.map(endAgent));
}

async function agentsOf(directory: string): Promise<readonly ProcessIdentity[]> {
  const placements = join(directory, "placements");
  const names = await readdir(placements).catch(() => []);
  const found = await Promise.all(names.map((name) => readAgent(join(placements, name))));
  return found.filter((agent) => agent !== null);
}

/** The agent of a placement's directory, dead or alive; null when it never listened. */
export async function readAgent(placement: string): Promise<ProcessIdentity | null> {
  try {
    return agentEndpointSchema.parse(
      JSON.parse(await readFile(join(placement, "state", "endpoint.json"), "utf8")),
    );
  } catch {
    return null;
  }
}

async function endAgent(agent: ProcessIdentity): Promise<void> {
  if ((await signalProcess(agent, "SIGTERM")) === "gone") return;
  for (const deadline = performance.now() + graceMs; performance.now() < deadline; await delay(20))
    if (!(await isAlive(agent))) return;
  await signalProcess(agent, "SIGKILL");
  throw new Error(
    `agent ${agent.pid} did not end in ${graceMs} ms and was killed; its application may still run`,
  );
}
