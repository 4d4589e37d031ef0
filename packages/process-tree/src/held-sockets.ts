import { readDescriptors } from "./descriptors.ts";
import { currentBootId } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readStatNow } from "./process-stat.ts";

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
    if (identity.bootId !== currentBootId()) continue;
    const stat = readStatNow(identity.pid);
    if (stat === null || stat.startTime !== identity.startTime) continue;
    const open = readDescriptors(stat);
    if (open.kind === "unreadable") unreadable.push(identity);
    if (open.kind !== "read") continue;
    const inodes = new Set(open.descriptors.flatMap(({ target }) => socketInode(target) ?? []));
    for (const inode of inodes) holders.set(inode, [...(holders.get(inode) ?? []), identity]);
  }
  return { holders, unreadable };
}

/** The inode in `socket:[123]`; null when an fd is no socket. */
export const socketInode = (target: string): string | null => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? null;
