import { readdir } from "node:fs/promises";
import {
  type ProcessFact,
  type ProcessStat,
  type TreeScan,
  readBootId,
  readStat,
  containerOf,
} from "@baton/process-tree";

const rounds = 10;

export interface ContainerScanOptions {
  readonly container: string;
  /** What the container was started with: others without a parent here were executed into it from outside. */
  readonly mainPid: number;
  /** It is the gate's shell, which waits, or runs the application as its child: never of the tree itself. */
  readonly mainIsGate: boolean;
}

/**
 * Every living process of another container, whoever its user is: which container a process is in may be read by anybody and cannot be left.
 * Not of the tree: the gate's shell, PID 1, the agent, and what was executed into the container from outside (a shell, a probe) with all that it started.
 * Looks until two rounds agree.
 *
 * @throws when a process cannot be looked at
 */
export async function scanContainer(options: ContainerScanOptions): Promise<TreeScan> {
  const bootId = await readBootId();
  let before = await scanOnce(options);
  let settled = false;
  for (let round = 1; round < rounds && !settled; round += 1) {
    const now = await scanOnce(options);
    settled = sameProcesses(before, now);
    before = now;
  }
  const members = before.map((stat): ProcessFact => ({ ...stat, bootId, foundBy: "root" }));
  return { members, unreadable: [], settled, scannedAt: new Date().toISOString() };
}

async function scanOnce({ container, mainPid, mainIsGate }: ContainerScanOptions): Promise<ProcessStat[]> {
  const table = new Map<number, ProcessStat>();
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readStat(Number(name));
    if (stat !== null && !stat.kernelThread) table.set(stat.pid, stat);
  }
  /** Its parent is outside of the process namespace, and it is not what the container was started with. */
  const cameFromOutside = (stat: ProcessStat): boolean => {
    if (stat.pid === mainPid || stat.pid === 1) return false;
    if (stat.ppid === 0) return true;
    const parent = table.get(stat.ppid);
    return parent !== undefined && cameFromOutside(parent);
  };
  const members: ProcessStat[] = [];
  for (const stat of table.values()) {
    if (stat.pid === 1 || stat.pid === process.pid) continue;
    if (mainIsGate && stat.pid === mainPid) continue;
    if (isOver(stat) || cameFromOutside(stat)) continue;
    if (containerOf(stat.pid) === container) members.push(stat);
  }
  return members;
}

/** A zombie leader whose threads live is alive. */
const isOver = ({ state, threads }: ProcessStat): boolean => state === "X" || (state === "Z" && threads <= 1);

function sameProcesses(a: readonly ProcessStat[], b: readonly ProcessStat[]): boolean {
  const known = new Set(a.map(({ pid, startTime }) => `${pid}:${startTime}`));
  return a.length === b.length && b.every(({ pid, startTime }) => known.has(`${pid}:${startTime}`));
}
