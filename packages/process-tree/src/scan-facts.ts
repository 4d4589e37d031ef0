import type { Cookie, UnreadableReason } from "./environment.ts";
import type { FoundBy } from "./kinship.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import type { ProcessStat } from "./process-stat.ts";

export interface ScanTreeOptions {
  /** Every process that bears it is a member. */
  readonly cookie: Cookie;
  /**
   * Members known already, dead or alive. Pass every member ever seen: a program that overwrote its
   * environment (setproctitle, as Postgres and nginx do) is found again only by this or by its kin.
   */
  readonly roots: readonly ProcessIdentity[];
  /** Start time of the tree's first process, in ticks of this boot: no cookie is looked for in older ones. */
  readonly since?: string | undefined;
  /** Never members, whatever they bear or started; nor is their session or process group the tree's. */
  readonly exclude: readonly number[];
  /**
   * no_new_privs holds for the tree's first process (`hasNoNewPrivileges`), which runs as our user. Unless we
   * hold CAP_SETUID, a process of another user is then provably not of the tree. Default: false.
   */
  readonly noNewPrivileges?: boolean | undefined;
}

/** A living member, with what /proc said of it. */
export interface ProcessFact extends ProcessIdentity, ProcessStat {
  readonly foundBy: FoundBy;
}

/** A living process that may be a member: nobody can tell, because its environment cannot be read. */
export interface UnreadableProcess extends ProcessIdentity {
  readonly comm: string;
  /** Its effective user. */
  readonly uid: number;
  readonly reason: UnreadableReason;
}

/** The tree is gone only if this is settled and both lists are empty. */
export interface TreeScan {
  readonly members: readonly ProcessFact[];
  readonly unreadable: readonly UnreadableProcess[];
  /** False when processes came and went faster than they could be listed. */
  readonly settled: boolean;
  /** ISO 8601. */
  readonly scannedAt: string;
}
