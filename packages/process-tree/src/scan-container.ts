import { containerOf } from "./container.ts";
import { listPids } from "./proc-file.ts";
import { currentBootId, identityOf } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { requireWholeProc } from "./process-status.ts";
import { isDead, readStatNow } from "./process-stat.ts";
import type { ProcessStat } from "./process-stat.ts";
import type { ProcessFact, TreeScan } from "./scan-facts.ts";
import type { ScanRound } from "./scan-round.ts";
import { scanUntilSettled } from "./settle.ts";

export interface ScanContainerOptions {
  /** As `containerOf` names it. */
  readonly container: string;
  /** What the container was started with: others without a parent here were executed into it from outside. */
  readonly main: number;
  /** Never members, whatever they do. */
  readonly exclude: readonly number[];
}

/**
 * Finds every living process of a container, whoever its user is: which one a process is in may be read by anybody, and it cannot leave it.
 * Not among them: PID 1, the excluded, and what was executed into the container from outside (a shell, a probe) with all that it started.
 * @throws Error when /proc cannot be trusted to show every process, or one may not be looked at
 */
export async function scanContainer(options: ScanContainerOptions): Promise<TreeScan> {
  requireWholeProc();
  return scanUntilSettled(() => scanOnce(options));
}

function scanOnce({ container, main, exclude }: ScanContainerOptions): ScanRound {
  const excluded = new Set([1, ...exclude]);
  const table = new Map<number, ProcessStat>();
  const zombies: ProcessIdentity[] = [];
  let vanished = 0;
  for (const pid of listPids()) {
    const stat = readStatNow(pid);
    if (stat === null) vanished++;
    else if (isDead(stat)) zombies.push(identityOf(stat));
    else if (!stat.kernelThread) table.set(pid, stat);
  }
  /** Its parent is outside of the process namespace, and it is not what the container was started with. */
  const cameFromOutside = (stat: ProcessStat): boolean => {
    if (stat.pid === main || stat.pid === 1) return false;
    if (stat.ppid === 0) return true;
    const parent = table.get(stat.ppid);
    return parent !== undefined && cameFromOutside(parent);
  };
  const members: ProcessFact[] = [];
  for (const stat of table.values()) {
    if (excluded.has(stat.pid) || cameFromOutside(stat)) continue;
    const own = containerOf(stat.pid);
    if (own === null) vanished++;
    else if (own === container) members.push({ ...stat, bootId: currentBootId(), foundBy: "container" });
  }
  return { members, unreadable: [], zombies, vanished };
}
