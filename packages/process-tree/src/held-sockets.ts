import { readDescriptors } from "./descriptors.ts";
import { currentBootId } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readStatNow } from "./process-stat.ts";
import type { ProcessStat } from "./process-stat.ts";

export interface HeldSockets {
  /** By inode: who holds the socket. */
  readonly holders: ReadonlyMap<string, readonly ProcessIdentity[]>;
  /** Alive, and it may not be seen what they hold. */
  readonly unreadable: readonly ProcessIdentity[];
}

/**
 * The sockets that the given processes hold now. One that is gone holds nothing.
 * @throws Error when a process may not be looked at at all, or /proc does not show it
 */
export function heldSockets(identities: readonly ProcessIdentity[]): HeldSockets {
  const holders = new Map<string, ProcessIdentity[]>();
  const unreadable: ProcessIdentity[] = [];
  for (const identity of identities) {
    const inodes = socketsOf(identity);
    if (inodes === null) unreadable.push(identity);
    for (const inode of inodes ?? []) holders.set(inode, [...(holders.get(inode) ?? []), identity]);
  }
  return { holders, unreadable };
}

/**
 * Which of the wanted sockets the given processes hold now; in the given order until all are found, at 0.1 ms each.
 * @throws as `heldSockets`
 */
export function searchHeld(
  identities: readonly ProcessIdentity[],
  wanted: ReadonlySet<string>,
): { readonly found: ReadonlySet<string>; readonly unreadable: readonly ProcessIdentity[] } {
  const found = new Set<string>();
  const unreadable: ProcessIdentity[] = [];
  for (const identity of identities) {
    if (found.size === wanted.size) break;
    const inodes = socketsOf(identity);
    if (inodes === null) unreadable.push(identity);
    for (const inode of inodes ?? []) if (wanted.has(inode)) found.add(inode);
  }
  return { found, unreadable };
}

/** The inodes of a process's sockets, none when it ended; null when they may not be seen. */
function socketsOf(identity: ProcessIdentity): ReadonlySet<string> | null {
  if (identity.bootId !== currentBootId()) return new Set();
  const stat = readStatNow(identity.pid);
  if (stat === null || stat.startTime !== identity.startTime) return new Set();
  const inodes = openSockets(stat);
  return inodes === "vanished" ? new Set() : inodes === "unreadable" ? null : inodes;
}

/** The inodes of the sockets that a process has open now. */
export function openSockets(stat: ProcessStat): ReadonlySet<string> | "vanished" | "unreadable" {
  const open = readDescriptors(stat);
  if (open.kind !== "read") return open.kind;
  return new Set(open.descriptors.flatMap(({ target }) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
}
