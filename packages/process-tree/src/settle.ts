import { setImmediate } from "node:timers/promises";
import type { ProcessIdentity } from "./process-identity.ts";
import type { TreeScan } from "./scan-facts.ts";
import type { ScanRound } from "./scan-round.ts";

const MAX_ROUNDS = 10;

/** Looks until two successive rounds agree, ten at most. */
export async function scanUntilSettled(look: (before: ScanRound | null) => ScanRound): Promise<TreeScan> {
  let round = look(null);
  let settled = false;
  for (let rounds = 1; rounds < MAX_ROUNDS && !settled; rounds++) {
    await setImmediate();
    const next = look(round);
    settled = agree(round, next);
    round = next;
  }
  const members = round.members.toSorted((one, other) => one.pid - other.pid);
  return { members, unreadable: round.unreadable, settled, scannedAt: new Date().toISOString() };
}

/**
 * A process that died between being listed and being read may have left a child that was born after the
 * listing, and so may one that became a zombie. Neither must be the last thing seen before "nothing is left".
 */
function agree(earlier: ScanRound, later: ScanRound): boolean {
  const hasNew = (before: readonly ProcessIdentity[], after: readonly ProcessIdentity[]): boolean => {
    // Both are of this boot, so a pid has one start time at most in each.
    const known = new Map(before.map(({ pid, startTime }) => [pid, startTime]));
    return after.some(({ pid, startTime }) => known.get(pid) !== startTime);
  };
  const same = (one: readonly ProcessIdentity[], other: readonly ProcessIdentity[]): boolean =>
    one.length === other.length && !hasNew(one, other);
  return (
    later.vanished === 0 &&
    same(earlier.members, later.members) &&
    same(earlier.unreadable, later.unreadable) &&
    !hasNew(earlier.zombies, later.zombies)
  );
}
