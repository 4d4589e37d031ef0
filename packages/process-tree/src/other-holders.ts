import { lstatSync } from "node:fs";
import { openSockets } from "./held-sockets.ts";
import { listPids } from "./proc-file.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { requireWholeProc } from "./process-status.ts";
import { isDead, readStatNow } from "./process-stat.ts";
import type { SocketRow } from "./socket-table.ts";
import { belongingRule, foreignUserRule } from "./tree-bounds.ts";
import type { TreeBounds } from "./tree-bounds.ts";

export interface OtherHolders {
  /** Whether a socket is certainly not the tree's alone: an outsider holds it, or a foreign user made it. */
  readonly isOutsiders: (row: SocketRow) => boolean;
  /** Whether a process holds it, or may hold it, that is no member but may be of the tree. */
  readonly isSuspected: (row: SocketRow) => boolean;
}

/**
 * Asks the processes that are no members what they hold, where it is not known what all members hold. Outsiders are
 * what cannot be of the tree: older than it, of a foreign user, or named so.
 */
export function askOthers(
  members: readonly ProcessIdentity[],
  outsiders: readonly ProcessIdentity[],
  bounds: TreeBounds,
): OtherHolders {
  const isForeignUser = foreignUserRule(bounds.noNewPrivileges, requireWholeProc());
  const mayBelong = belongingRule({ ...bounds, exclude: outsiders.map(({ pid }) => pid) });
  const memberPids = new Set(members.map(({ pid }) => pid));
  const outside = new Set<string>();
  const suspected = new Set<string>();
  let isAnyHidden = false;
  for (const pid of listPids()) {
    const stat = memberPids.has(pid) ? null : readStatNow(pid);
    if (stat === null || stat.kernelThread || isDead(stat)) continue;
    const isSuspect = mayBelong(stat);
    const inodes = openSockets(stat);
    if (inodes === "unreadable") isAnyHidden ||= isSuspect;
    else if (inodes !== "vanished") for (const inode of inodes) (isSuspect ? suspected : outside).add(inode);
  }
  return {
    isOutsiders: (row) =>
      outside.has(row.inode) ||
      // The table of unix sockets names no user, but the file has the one that made it; an abstract or relative
      // name tells nothing.
      (row.protocol !== "unix"
        ? isForeignUser([row.uid])
        : row.path?.startsWith("/") === true && isForeignUser(ownersOf(row.path))),
    isSuspected: (row) => isAnyHidden || suspected.has(row.inode),
  };
}

/** The user of a socket's file, or ours too if that cannot be known. */
function ownersOf(path: string): readonly number[] {
  try {
    const file = lstatSync(path);
    if (file.isSocket()) return [file.uid];
  } catch {
    // It was removed, or is in a folder that is not ours to look into.
  }
  return process.getuid === undefined ? [] : [process.getuid()];
}
