import { setImmediate } from "node:timers/promises";
import { requireCookie } from "./environment.ts";
import { identityKey } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readRights, requireWholeProc } from "./process-status.ts";
import { scanOnce } from "./scan-round.ts";
import type { ScanRound } from "./scan-round.ts";
import type { ScanTreeOptions, TreeScan } from "./scan-facts.ts";

const MAX_ROUNDS = 10;

/**
 * Finds every living process of a tree: roots, bearers of the cookie, their descendants, and the sessions and
 * process groups that they lead. Looks until two successive rounds agree, ten at most. Blocks for some 3 ms a
 * round at 150 processes. Invisible, and excluded by nothing here: a process that cleared its environment,
 * left its session *and* lost its parent before anyone saw it.
 * @throws Error when /proc cannot be trusted to show every process; TypeError for an unusable cookie
 */
export async function scanTree(options: ScanTreeOptions): Promise<TreeScan> {
  requireCookie(options.cookie);
  const own = readRights("self");
  if (own === null) throw new Error("cannot list the processes: /proc is not mounted");
  requireWholeProc(own);

  const foreignUsersProven = options.noNewPrivileges === true && !own.mayChangeUser;
  const isForeignUser = (uids: readonly number[]): boolean =>
    foreignUsersProven && uids.every((uid) => !own.uids.includes(uid));

  let round = scanOnce(options, isForeignUser);
  let settled = false;
  for (let rounds = 1; rounds < MAX_ROUNDS && !settled; rounds++) {
    await setImmediate();
    const next = scanOnce(options, isForeignUser);
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
    const known = new Set(before.map(identityKey));
    return after.some((identity) => !known.has(identityKey(identity)));
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
