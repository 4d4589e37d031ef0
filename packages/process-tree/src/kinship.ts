import type { ProcessStat } from "./process-stat.ts";

/** Which bond makes a process a member of the tree. */
export type FoundBy = "root" | "cookie" | "parent" | "session" | "processGroup" | "container";

export interface Kinship {
  /** Every process that may be a member, by pid. */
  readonly living: ReadonlyMap<number, ProcessStat>;
  /** Members that are dead but whose number no stranger has: what they led is still the tree's. */
  readonly deadLeaders: ReadonlySet<number>;
  /** Sessions and process groups that are somebody else's whoever leads them. */
  readonly foreignGroups: ReadonlySet<number>;
}

/**
 * Adds to `members` every process that descends from a member or is in the session or process group that one
 * leads, until there is none left. A session passes to others by fork only, so all of it descends from its
 * leader. Each process and each bond is looked at once, however deep the tree is.
 */
export function addKin(members: Map<number, FoundBy>, { living, deadLeaders, foreignGroups }: Kinship): void {
  const children = Map.groupBy(living.values(), ({ ppid }) => ppid);
  const sessions = Map.groupBy(living.values(), ({ session }) => session);
  const groups = Map.groupBy(living.values(), ({ processGroup }) => processGroup);
  const queue = [...members.keys()];
  const add = (kin: readonly ProcessStat[] | undefined, foundBy: FoundBy): void => {
    for (const { pid } of kin ?? []) {
      if (members.has(pid)) continue;
      members.set(pid, foundBy);
      queue.push(pid);
    }
  };
  const addLedBy = (id: number): void => {
    if (foreignGroups.has(id)) return;
    add(sessions.get(id), "session");
    add(groups.get(id), "processGroup");
  };
  for (const id of deadLeaders) addLedBy(id);
  for (const pid of queue) {
    add(children.get(pid), "parent");
    addLedBy(pid);
  }
}
