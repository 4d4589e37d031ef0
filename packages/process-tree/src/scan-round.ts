import { searchCookie } from "./environment.ts";
import { addKin } from "./kinship.ts";
import type { FoundBy } from "./kinship.ts";
import { listPids } from "./proc-file.ts";
import { currentBootId, identityOf } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readRights } from "./process-status.ts";
import { isDead, readStatNow } from "./process-stat.ts";
import type { ProcessStat } from "./process-stat.ts";
import type { ProcessFact, ScanTreeOptions, UnreadableProcess } from "./scan-facts.ts";

export interface ScanRound {
  readonly members: readonly ProcessFact[];
  readonly unreadable: readonly UnreadableProcess[];
  /** Dead, not reaped, and young enough to have been of the tree. */
  readonly zombies: readonly ProcessIdentity[];
  /** How many listed processes ended before they were read. */
  readonly vanished: number;
}

/**
 * One look at every process, without a pause.
 *
 * A member taken over from the round right before is not read again while it is listed: it counts as it was. That
 * can only err towards "still there" — a round that finds nothing has nothing to take over and has read every
 * process itself — and no number comes round to a stranger within one scan, as all of pid_max would have to be used
 * up in these milliseconds. What a member did meanwhile shows in its children, which are read.
 */
export function scanOnce(
  { cookie, roots, since, exclude }: ScanTreeOptions,
  isForeignUser: (uids: readonly number[]) => boolean,
  before: readonly ProcessFact[] = [],
): ScanRound {
  const oldest = BigInt(since ?? 0);
  const isYoung = (stat: ProcessStat): boolean => BigInt(stat.startTime) >= oldest;
  const excluded = new Set(exclude);
  const knownMembers = new Map(before.map((fact) => [fact.pid, fact]));
  const table = new Map<number, ProcessStat>();
  const living = new Map<number, ProcessStat>();
  const members = new Map<number, FoundBy>();
  const zombies: ProcessIdentity[] = [];
  let vanished = 0;

  for (const pid of listPids()) {
    const known = knownMembers.get(pid);
    const stat = known ?? readStatNow(pid);
    if (stat === null) {
      vanished++;
      continue;
    }
    table.set(pid, stat);
    if (stat.kernelThread || excluded.has(pid)) continue;
    if (known !== undefined) members.set(pid, known.foundBy);
    if (!isDead(stat)) living.set(pid, stat);
    else if (isYoung(stat)) zombies.push(identityOf(stat));
  }

  const deadLeaders = new Set<number>();
  for (const root of roots) {
    if (root.bootId !== currentBootId() || excluded.has(root.pid)) continue;
    const now = table.get(root.pid);
    // Another start time: the number is a stranger's now, and so are the session and the group of that
    // number.
    if (now !== undefined && now.startTime !== root.startTime) continue;
    if (living.has(root.pid)) members.set(root.pid, "root");
    else deadLeaders.add(root.pid);
  }
  const kinship = { living, deadLeaders, foreignGroups: groupsOf(excluded, table) };
  addKin(members, kinship);

  // Whoever is kin is a member whatever its environment says, so only the others are searched: half of the work
  // for a large tree.
  const unreadable: UnreadableProcess[] = [];
  const kinFound = members.size;
  for (const stat of living.values()) {
    if (members.has(stat.pid) || !isYoung(stat)) continue;
    const search = searchCookie(stat, cookie);
    if (search.kind === "borne") members.set(stat.pid, "cookie");
    if (search.kind === "vanished") vanished++;
    if (search.kind !== "unreadable") continue;
    // Whose parent lives is known by that one. An orphan that hides its mark too may be anybody's, ours among them.
    if (search.reason === "overwritten" && stat.ppid !== 1) continue;
    const rights = readRights(stat.pid);
    if (rights === null) vanished++;
    else if (!isForeignUser(rights.uids)) {
      unreadable.push({
        ...identityOf(stat),
        comm: stat.comm,
        uid: rights.uids[1] ?? -1,
        reason: search.reason,
      });
    }
  }
  if (members.size > kinFound) addKin(members, kinship);

  const facts: ProcessFact[] = [];
  for (const stat of living.values()) {
    const foundBy = members.get(stat.pid);
    if (foundBy !== undefined) facts.push({ ...stat, bootId: currentBootId(), foundBy });
  }
  return { members: facts, unreadable: unreadable.filter(({ pid }) => !members.has(pid)), zombies, vanished };
}

function groupsOf(
  excluded: ReadonlySet<number>,
  table: ReadonlyMap<number, ProcessStat>,
): ReadonlySet<number> {
  const groups = new Set(excluded);
  for (const pid of excluded) {
    const stat = table.get(pid);
    if (stat === undefined) continue;
    groups.add(stat.session).add(stat.processGroup);
  }
  return groups;
}
