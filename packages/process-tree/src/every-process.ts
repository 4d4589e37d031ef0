import { setImmediate } from "node:timers/promises";
import { listPids } from "./proc-file.ts";
import { isDead, readStatNow } from "./process-stat.ts";
import type { ProcessStat } from "./process-stat.ts";
import { requireWholeProc } from "./process-status.ts";

/** All but the first look only at what is new: on a machine that starts a thousand processes a second most of these find some. */
const MAX_ROUNDS = 25;
/** Processes looked at in one turn of the event loop: some 10 ms. */
const BATCH = 20;

/**
 * Shows every living process of the machine to `visit`, kernel threads left out. What was born meanwhile is shown
 * too: a process that was read and one that ended unread may both have left what they hold to a child. `visit`
 * gives false for one that ended before it could be read.
 * @returns false when processes came and went faster than they could be read
 * @throws Error when /proc cannot be trusted to show every process; what `visit` throws
 */
export async function visitProcesses(visit: (stat: ProcessStat) => boolean): Promise<boolean> {
  requireWholeProc();
  // No number comes round to a stranger meanwhile, see `scanOnce`; if it did, it would be one that was not here.
  const read = new Set<number>();
  for (let rounds = 0; rounds < MAX_ROUNDS; rounds++) {
    const unread = listPids().filter((pid) => !read.has(pid));
    if (rounds > 0 && unread.length === 0) return true;
    for (const [index, pid] of unread.entries()) {
      if (index > 0 && index % BATCH === 0) await setImmediate();
      const stat = readStatNow(pid);
      if (stat === null) continue;
      if (stat.kernelThread || isDead(stat) || visit(stat)) read.add(pid);
    }
  }
  return false;
}
