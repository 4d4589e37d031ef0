import { readdirSync } from "node:fs";
import { searchCookie } from "./environment.ts";
import { addKin } from "./kinship.ts";
import type { FoundBy } from "./kinship.ts";
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

/** One look at every process, without a pause. */
export function scanOnce(
  { cookie, roots, since, exclude }: ScanTreeOptions,
  isForeignUser: (uids: readonly number[]) => boolean,
): ScanRound {
  const oldest = BigInt(since ?? 0);
  const excluded = new Set(exclude);
  const table = new Map<number, ProcessStat>();
  const living = new Map<number, ProcessStat>();
  const members = new Map<number, FoundBy>();
  const unreadable: UnreadableProcess[] = [];
  const zombies: ProcessIdentity[] = [];
  let vanished = 0;

  for (const pid of listPids()) {
    const stat = readStatNow(pid);
    if (stat === null) {
      vanished++;
      continue;
    }
    table.set(pid, stat);
    if (stat.kernelThread || excluded.has(pid)) continue;
    const isYoung = BigInt(stat.startTime) >= oldest;
    if (isDead(stat)) {
      if (isYoung) zombies.push(identityOf(stat));
      continue;
    }
    living.set(pid, stat);
    if (!isYoung) continue;
    const search = searchCookie(stat, cookie);
    if (search.kind === "borne") members.set(pid, "cookie");
    if (search.kind === "vanished") vanished++;
    if (search.kind !== "unreadable") continue;
    const rights = readRights(pid);
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
  addKin(members, { living, deadLeaders, foreignGroups: groupsOf(excluded, table) });

  return {
    members: [...living.values()].flatMap((stat) => {
      const foundBy = members.get(stat.pid);
      return foundBy === undefined ? [] : [{ ...stat, bootId: currentBootId(), foundBy }];
    }),
    unreadable: unreadable.filter(({ pid }) => !members.has(pid)),
    zombies,
    vanished,
  };
}

/** Youngest first: they may end any moment, and each that ends unread costs another round. */
function listPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .toSorted((one, other) => other - one);
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
