import { setImmediate } from "node:timers/promises";
import { requireCookie } from "./environment.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { foreignUserRule } from "./tree-bounds.ts";
import { requireWholeProc } from "./process-status.ts";
import { scanOnce } from "./scan-round.ts";
import type { ScanRound } from "./scan-round.ts";
import type { ScanTreeOptions, TreeScan } from "./scan-facts.ts";

const MAX_ROUNDS = 10;
/** So many members are read again in each round, which shows who died meanwhile. With more it would cost too much. */
const FEW_MEMBERS = 500;

/**
 * Finds every living process of a tree: roots, bearers of the cookie, their descendants, and the sessions and
 * process groups that they lead. Looks until two successive rounds agree, ten at most; each blocks for some 5 ms at
 * 150 processes and 150 ms at 5,000, unless most are members already. Invisible, and excluded by nothing here: a
 * process that cleared its environment, left its session *and* lost its parent before anyone saw it.
 * @throws Error when /proc cannot be trusted to show every process; TypeError for an unusable cookie
 */
export async function scanTree(options: ScanTreeOptions): Promise<TreeScan> {
  requireCookie(options.cookie);
  const own = requireWholeProc();

  const isForeignUser = foreignUserRule(options.noNewPrivileges, own);
  let round = scanOnce(options, isForeignUser);
  let settled = false;
  for (let rounds = 1; rounds < MAX_ROUNDS && !settled; rounds++) {
    await setImmediate();
    const taken = round.members.length > FEW_MEMBERS ? round.members : [];
    const next = scanOnce(options, isForeignUser, taken);
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
