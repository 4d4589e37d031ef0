import { heldSockets, searchHeld } from "./held-sockets.ts";
import { socketsAround } from "./network.ts";
import type { MemberSocket } from "./network.ts";
import { askOthers } from "./other-holders.ts";
import { identityOf } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readStatNow } from "./process-stat.ts";
import type { SocketProtocol, SocketRow } from "./socket-table.ts";
import { nameSocket } from "./socket-table.ts";
import type { TreeBounds } from "./tree-bounds.ts";

export interface ObserveListeningOptions extends Omit<TreeBounds, "exclude"> {
  /** Everything that is or may be of the tree: members of a scan, and what it could not read. */
  readonly members: readonly ProcessIdentity[];
  /** Certainly not of the tree, as we ourselves: what these hold is not watched unless a member is seen to hold it too. */
  readonly outsiders?: readonly ProcessIdentity[] | undefined;
}

export interface WatchedSocket {
  /** `tcp 127.0.0.1:6379`, `udp [::]:53`, `unix /run/x.sock`. */
  readonly name: string;
  readonly protocol: SocketProtocol;
  readonly inode: string;
  /** In another network namespace than ours. */
  readonly elsewhere: boolean;
  /** A member was seen to hold it. If not, one may have held it: nobody was seen who does instead. */
  readonly certain: boolean;
}

/** What a tree listened on before it was told to let go. Plain data, safe to store as JSON. */
export interface ListeningWatch extends Omit<TreeBounds, "exclude"> {
  readonly sockets: readonly WatchedSocket[];
  /**
   * `exact`: what the members hold. `all`: besides, whatever they may hold, as not all could be looked at. `none`: there
   * was no member to look at.
   */
  readonly extent: "exact" | "all" | "none";
}

/** So many members are looked at one by one, at 0.1 ms each; of a larger tree the oldest. */
const FEW_MEMBERS = 100;

/**
 * Notes the listening TCP, bound UDP and accepting unix sockets of a tree, by inode: a port alone is given again to
 * strangers. To be called as shortly before the stop as possible, since what is opened later is not noted.
 *
 * Of a tree of more than 100 processes the younger ones are looked at only if they could share a socket with a process
 * that is not known to be of the tree, or not to be. Otherwise any that is not an outsider's counts as perhaps theirs.
 * @throws Error when /proc cannot be trusted, or a member may not be looked at at all
 */
export function observeListening(options: ObserveListeningOptions): ListeningWatch {
  const { members, since, noNewPrivileges } = options;
  const watch = (
    extent: ListeningWatch["extent"],
    certain: readonly MemberSocket[],
    perhaps: readonly MemberSocket[] = [],
  ): ListeningWatch => ({
    sockets: [
      ...certain.map((socket) => watched(socket, true)),
      ...perhaps.map((socket) => watched(socket, false)),
    ],
    extent,
    since,
    noNewPrivileges,
  });
  if (members.length === 0) return watch("none", []);
  const oldestFirst = members.toSorted((one, other) => Number(one.startTime) - Number(other.startTime));
  const younger = oldestFirst.slice(FEW_MEMBERS);
  const { holders, unreadable } = heldSockets(oldestFirst.slice(0, FEW_MEMBERS));
  const areAllRead = younger.length === 0 && unreadable.length === 0;
  // The tables may take 20 ms to read; who holds no socket at all listens on none.
  if (areAllRead && holders.size === 0) return watch("exact", []);

  const listening = socketsAround(members).filter(({ row }) => isListening(row));
  const certain = listening.filter(({ row }) => holders.has(row.inode));
  let perhaps = listening.filter(({ row }) => !holders.has(row.inode));
  if (areAllRead || perhaps.length === 0) return watch("exact", certain);

  const self = readStatNow(process.pid);
  const outsiders = [...(options.outsiders ?? []), ...(self === null ? [] : [identityOf(self)])];
  const others = askOthers(members, outsiders, options);
  perhaps = perhaps.filter(({ row, elsewhere }) => elsewhere || !others.isOutsiders(row));
  let isAnyHidden = unreadable.length > 0;
  if (perhaps.some(({ row, elsewhere }) => elsewhere || others.isSuspected(row))) {
    const search = searchHeld(younger, new Set(perhaps.map(({ row }) => row.inode)));
    certain.push(...perhaps.filter(({ row }) => search.found.has(row.inode)));
    isAnyHidden ||= search.unreadable.length > 0;
    perhaps = isAnyHidden ? perhaps.filter(({ row }) => !search.found.has(row.inode)) : [];
  }
  return watch(perhaps.length > 0 ? "all" : "exact", certain, perhaps);
}

const watched = ({ row, elsewhere }: MemberSocket, certain: boolean): WatchedSocket => ({
  name: nameSocket(row),
  protocol: row.protocol,
  inode: row.inode,
  elsewhere,
  certain,
});

function isListening(row: SocketRow): boolean {
  if (row.protocol === "unix") return row.accepting;
  if (row.protocol === "tcp") return row.state === "LISTEN";
  // A connected UDP socket is a client's.
  return row.state === "CLOSE" && row.local.port !== 0;
}
