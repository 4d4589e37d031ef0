import { access } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { cookieVariable } from "@baton/protocol";
import { type ProcessIdentity, type TreeScan, readBootId, scanTree } from "@baton/process-tree";
import type { Witness } from "../cluster.port.ts";
import { knownAgents, livingOf, readSpawnRecord } from "./agent-record.ts";
import { type Deadline, reasonOf } from "../deadline.ts";
import { type PlacementPaths, readConfig } from "./placement-directory.ts";

/**
 * Judges the placement's process tree from /proc, whatever its agent says: every bearer of a cookie of any of its runs,
 * everything that descends from the agents, and the sessions and groups that these lead; the agents are not counted.
 * @throws when there is no /proc; every other failure is `unknown`
 */
export async function witnessPlacement(
  directory: string,
  placement: string,
  paths: PlacementPaths,
  deadline: Deadline,
): Promise<Witness> {
  deadline.begin("reading /proc");
  await access("/proc/self/stat");
  deadline.begin("reading the placement's records");
  let agents: readonly ProcessIdentity[] = [];
  let agentAlive = false;
  try {
    if ((await readConfig(directory, placement)) === null)
      return unknown(`there is no placement ${placement} in ${directory}`, false);
    agents = await knownAgents(paths, placement);
    agentAlive = (await livingOf(agents)).length > 0;
    const record = await readSpawnRecord(paths);
    deadline.begin("reading /proc");
    const isThisBoot = record !== null && record.bootId === (await readBootId());
    const scan = await scanUntilClear(deadline, () =>
      scanTree({
        cookie: { name: cookieVariable, value: `${placement}:`, isPrefix: true },
        roots: agents,
        since: isThisBoot ? record.since : undefined,
        exclude: [],
        noNewPrivileges: isThisBoot && record.noNewPrivileges,
      }),
    );
    return judge(scan, agents, agentAlive);
  } catch (error) {
    deadline.signal.throwIfAborted();
    return unknown(`cannot look at placement ${placement}: ${messageOf(error)}`, agentAlive);
  }
}

function judge(scan: TreeScan, agents: readonly ProcessIdentity[], agentAlive: boolean): Witness {
  const isAgent = (process: ProcessIdentity): boolean =>
    agents.some(({ pid, startTime }) => pid === process.pid && startTime === process.startTime);
  const processes = scan.members
    .filter((member) => !isAgent(member))
    .map(({ pid, comm }) => ({ pid, command: comm }));
  const doubtful = scan.unreadable.filter((process) => !isAgent(process));
  const found = { agentAlive, processes, observedAt: scan.scannedAt };
  if (processes.length > 0) return { ...found, state: "running", detail: null };
  if (doubtful.length > 0) {
    const names = doubtful.map(({ pid, comm, reason }) => `${pid} ${comm} (${reason})`).join(", ");
    return { ...found, state: "unknown", detail: `cannot read the environment of ${names}` };
  }
  if (!scan.settled) {
    const detail = "processes came and went faster than they could be listed";
    return { ...found, state: "unknown", detail };
  }
  return { ...found, state: "terminated", detail: null };
}

/** A process in the middle of its exec hides its environment for a moment, so such a scan is repeated for up to 2 s. */
async function scanUntilClear(deadline: Deadline, scan: () => Promise<TreeScan>): Promise<TreeScan> {
  const giveUpAt = performance.now() + Math.min(2_000, deadline.remainingMs() / 2);
  for (;;) {
    const result = await scan();
    const isPassing = !result.settled || result.unreadable.some(({ reason }) => reason === "not-in-place");
    if (!isPassing || performance.now() >= giveUpAt) return result;
    await delay(20, undefined, { signal: deadline.signal });
  }
}

function unknown(detail: string, agentAlive: boolean): Witness {
  return { state: "unknown", agentAlive, processes: [], detail, observedAt: new Date().toISOString() };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : reasonOf(error));
