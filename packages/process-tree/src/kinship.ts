import type { ProcessStat } from "./process-stat.ts";

/** Which bond makes a process a member of the tree. */
export type FoundBy = "root" | "cookie" | "parent" | "session" | "processGroup";

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
 * leader.
 */
export function addKin(members: Map<number, FoundBy>, { living, deadLeaders, foreignGroups }: Kinship): void {
  const isLedByMember = (id: number): boolean =>
    !foreignGroups.has(id) && (members.has(id) || deadLeaders.has(id));
  const bond = (stat: ProcessStat): FoundBy | undefined => {
    if (members.has(stat.ppid)) return "parent";
    if (isLedByMember(stat.session)) return "session";
    if (isLedByMember(stat.processGroup)) return "processGroup";
    return undefined;
  };
  let before: number;
  do {
    before = members.size;
    for (const stat of living.values()) {
      if (members.has(stat.pid)) continue;
      const foundBy = bond(stat);
      if (foundBy !== undefined) members.set(stat.pid, foundBy);
    }
  } while (members.size > before);
}
