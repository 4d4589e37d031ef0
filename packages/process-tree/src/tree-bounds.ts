import { readRights, requireWholeProc } from "./process-status.ts";
import type { ProcessRights } from "./process-status.ts";
import type { ProcessStat } from "./process-stat.ts";

/** What is known of a tree without a look at its processes. */
export interface TreeBounds {
  /** Start time of the tree's first process, in ticks of this boot: what is older is not of it. */
  readonly since?: string | undefined;
  /** Processes that are not of it, whatever they do. */
  readonly exclude?: readonly number[] | undefined;
  /**
   * no_new_privs holds for the tree's first process (`hasNoNewPrivileges`), which runs as our user. Unless we
   * hold CAP_SETUID, a process of another user is then provably not of the tree. Default: false.
   */
  readonly noNewPrivileges?: boolean | undefined;
}

/**
 * Tells what is provably not of a tree by its user ids: with no_new_privs nothing in it can become somebody else,
 * unless we hold CAP_SETUID and may have passed it on. Without no_new_privs nobody is foreign.
 */
export function foreignUserRule(
  noNewPrivileges: boolean | undefined,
  own: ProcessRights,
): (uids: readonly number[]) => boolean {
  const isProven = noNewPrivileges === true && !own.mayChangeUser;
  return (uids) => isProven && uids.every((uid) => !own.uids.includes(uid));
}

/**
 * Tells which processes may be of the tree for all that is known, as far as that can be told from outside. One that
 * ended meanwhile is not.
 * @throws Error when /proc cannot be trusted
 */
export function belongingRule(bounds: TreeBounds): (stat: ProcessStat) => boolean {
  const isForeignUser = foreignUserRule(bounds.noNewPrivileges, requireWholeProc());
  const oldest = BigInt(bounds.since ?? 0);
  const excluded = new Set(bounds.exclude);
  return (stat) => {
    if (stat.kernelThread || excluded.has(stat.pid) || BigInt(stat.startTime) < oldest) return false;
    const rights = readRights(stat.pid);
    return rights !== null && !isForeignUser(rights.uids);
  };
}
