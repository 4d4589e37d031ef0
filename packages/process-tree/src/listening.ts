import { lstatSync } from "node:fs";
import { readDescriptors } from "./descriptors.ts";
import { visitProcesses } from "./every-process.ts";
import { heldSockets, socketInode } from "./held-sockets.ts";
import { socketsAround } from "./network.ts";
import { listPids } from "./proc-file.ts";
import { identityOf } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { requireWholeProc } from "./process-status.ts";
import { readStatNow } from "./process-stat.ts";
import type { SocketProtocol, SocketRow } from "./socket-table.ts";
import { nameSocket, readSocketTable } from "./socket-table.ts";
import { nameProcess, tellReasons } from "./tell.ts";
import { foreignUserRule } from "./tree-bounds.ts";
import type { TreeBounds } from "./tree-bounds.ts";

export interface ObserveListeningOptions extends Omit<TreeBounds, "exclude"> {
  /** Everything that is or may be of the tree: members of a scan, and what it could not read. */
  readonly members: readonly ProcessIdentity[];
  /** Certainly not of the tree: what these hold is not watched when it cannot be seen what a member holds. */
  readonly outsiders?: readonly ProcessIdentity[] | undefined;
}

export interface WatchedSocket {
  /** `tcp 127.0.0.1:6379`, `udp [::]:53`, `unix /run/x.sock`. */
  readonly name: string;
  readonly protocol: SocketProtocol;
  readonly inode: string;
  /** In another network namespace than ours. */
  readonly elsewhere: boolean;
}

/** What a tree listened on before it was told to let go. Plain data, safe to store as JSON. */
export interface ListeningWatch {
  readonly sockets: readonly WatchedSocket[];
  /**
   * `exact`: what the members hold. `all`: whatever they may hold, as some could not be read. `none`: there was no
   * member to look at.
   */
  readonly extent: "exact" | "all" | "none";
}

export interface SocketHolder extends ProcessIdentity {
  readonly comm: string;
  /** The watched sockets that it holds. */
  readonly sockets: readonly string[];
}

export type ListeningRelease = {
  /** What was watched, for the receipt. */
  readonly watched: readonly string[];
} & (
  | { readonly state: "free" }
  | { readonly state: "held"; readonly by: readonly SocketHolder[]; readonly reasons: readonly string[] }
  | { readonly state: "unknown"; readonly reasons: readonly string[] }
);

/**
 * Notes the listening TCP, bound UDP and accepting unix sockets of a tree, by inode: a port alone is given again to
 * strangers. To be called as shortly before the stop as possible, since what is opened later is not noted.
 * @throws Error when /proc cannot be trusted, or a member may not be looked at at all
 */
export function observeListening(options: ObserveListeningOptions): ListeningWatch {
  const { holders, unreadable } = heldSockets(options.members);
  if (options.members.length === 0) return { sockets: [], extent: "none" };
  const exact = unreadable.length === 0;
  // The tables may take 20 ms to read; who holds no socket at all listens on none.
  if (exact && holders.size === 0) return { sockets: [], extent: "exact" };
  const listening = socketsAround(options.members).filter(({ row }) => isListening(row));
  const isOutsiders = exact ? () => false : outsiderRule(options);
  const sockets = listening
    .filter(({ row, elsewhere }) => (exact ? holders.has(row.inode) : elsewhere || !isOutsiders(row)))
    .map(({ row, elsewhere }) => ({
      name: nameSocket(row),
      protocol: row.protocol,
      inode: row.inode,
      elsewhere,
    }));
  return { sockets, extent: exact ? "exact" : "all" };
}

/**
 * Says, once the tree is gone, whether everything that it listened on is released. A socket of the watch that is
 * still there is `held` if it can be seen by whom (an orphan that inherited it, an escapee), else `unknown`. Fine are
 * a stranger's socket on the same port, a twin by SO_REUSEPORT, TIME_WAIT, and the file of a unix socket.
 * @throws Error when /proc cannot be trusted, or a table of sockets cannot be read
 */
export async function releasedListening(watch: ListeningWatch): Promise<ListeningRelease> {
  const watched = watch.sockets.map(({ name }) => name);
  if (watch.extent === "none")
    return { state: "unknown", reasons: ["no process was left to see what it listened on"], watched };
  if (remainingOf(watch).length === 0) return { state: "free", watched };

  const inodes = new Set(watch.sockets.map(({ inode }) => inode));
  const holders: (ProcessIdentity & { comm: string; inodes: ReadonlySet<string> })[] = [];
  const unreadable: string[] = [];
  const settled = await visitProcesses((stat) => {
    const open = readDescriptors(stat);
    if (open.kind === "unreadable") unreadable.push(nameProcess(stat));
    if (open.kind !== "read") return open.kind !== "vanished";
    const held = open.descriptors.flatMap(({ target }) => socketInode(target) ?? []);
    const watchedToo = new Set(held.filter((inode) => inodes.has(inode)));
    if (watchedToo.size > 0) holders.push({ ...identityOf(stat), comm: stat.comm, inodes: watchedToo });
    return true;
  });

  // What was let go of during the search is free by now.
  const remaining = remainingOf(watch);
  if (remaining.length === 0) return { state: "free", watched };
  const by = holders.flatMap(({ inodes: held, ...holder }) => {
    const sockets = remaining.filter(({ inode }) => held.has(inode)).map(({ name }) => name);
    return sockets.length === 0 ? [] : [{ ...holder, sockets }];
  });
  const reasons = by.flatMap((holder) =>
    holder.sockets.map((name) => `${nameProcess(holder)} still holds ${name}`),
  );
  if (by.length > 0) return { state: "held", by, reasons: tellReasons(reasons), watched };
  const why = [
    ...(settled ? [] : ["processes came and went faster than they could be read"]),
    ...(unreadable.length === 0 ? [] : [`not to be read: ${tellReasons(unreadable).join(", ")}`]),
  ].join("; ");
  return {
    state: "unknown",
    reasons: tellReasons(
      remaining.map(({ name, elsewhere }) =>
        elsewhere
          ? `${name} was in another network namespace, which cannot be looked into any more`
          : `${name} is still there, and nobody is seen to hold it${why === "" ? "" : ` (${why})`}`,
      ),
    ),
    watched,
  };
}

function isListening(row: SocketRow): boolean {
  if (row.protocol === "unix") return row.accepting;
  if (row.protocol === "tcp") return row.state === "LISTEN";
  // A connected UDP socket is a client's.
  return row.state === "CLOSE" && row.local.port !== 0;
}

/** Those of another namespace cannot be seen to be gone. */
function remainingOf({ sockets }: ListeningWatch): readonly WatchedSocket[] {
  const protocols = [...new Set(sockets.map(({ protocol }) => protocol))];
  const present = new Set(readSocketTable("self", protocols).map((row) => `${row.protocol} ${row.inode}`));
  return sockets.filter(({ protocol, inode, elsewhere }) => elsewhere || present.has(`${protocol} ${inode}`));
}

/** Tells whose socket is not the tree's although it cannot be seen what the tree holds. */
function outsiderRule(options: ObserveListeningOptions): (row: SocketRow) => boolean {
  const isForeignUser = foreignUserRule(options.noNewPrivileges, requireWholeProc());
  const oldest = BigInt(options.since ?? 0);
  const older = listPids().flatMap((pid) => {
    const stat = readStatNow(pid);
    return stat !== null && BigInt(stat.startTime) < oldest ? [identityOf(stat)] : [];
  });
  const { holders } = heldSockets([...older, ...(options.outsiders ?? [])]);
  return (row) => {
    if (holders.has(row.inode)) return true;
    if (row.protocol !== "unix") return isForeignUser([row.uid]);
    // The table names no user here, but its file has the one that made it; an abstract or relative name tells nothing.
    return row.path?.startsWith("/") === true && isForeignUser(ownersOf(row.path));
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
