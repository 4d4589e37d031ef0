import { heldSockets, searchHeld } from "./held-sockets.ts";
import { socketsAround } from "./network.ts";
import { identityOf } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readStatNow } from "./process-stat.ts";
import { requireWholeProc } from "./process-status.ts";
import { formatEndpoint, plainAddress } from "./socket-address.ts";
import type { Endpoint } from "./socket-address.ts";
import type { InetSocket, InetState, SocketRow } from "./socket-table.ts";
import { readSocketTable } from "./socket-table.ts";
import { tellReasons } from "./tell.ts";
import { foreignUserRule } from "./tree-bounds.ts";

export interface ObserveRemoteOptions {
  /** Everything that is or may be of the tree: members of a scan, and what it could not read. */
  readonly members: readonly ProcessIdentity[];
  /** IP addresses and ports as the tree reaches them. */
  readonly remotes: readonly Endpoint[];
}

/** What a tree was connected to. Plain data, safe to store as JSON. */
export interface RemoteWatch {
  readonly remotes: readonly Endpoint[];
  /** Inodes of the sockets to a remote that were seen in hands of the tree. */
  readonly inodes: readonly string[];
  /** Why there may be more of them. */
  readonly doubts: readonly string[];
  /** Connections from another network namespace than ours. */
  readonly elsewhere: readonly string[];
}

export interface DrainedRemoteOptions {
  /** Whose sockets do not count: our own. */
  readonly exclude: readonly ProcessIdentity[];
  /** As in `scanTree`. */
  readonly noNewPrivileges?: boolean | undefined;
}

/** `drained`: nothing that the tree wrote is on its way any more. */
export type RemoteDrain =
  | { readonly state: "drained" }
  /** `live`: somebody holds a connection of the tree and may go on writing. */
  | { readonly state: "live" | "draining" | "unknown"; readonly reasons: readonly string[] };

/** A socket's holder can write, or will be able to. */
const writing: readonly InetState[] = ["ESTABLISHED", "SYN_SENT", "SYN_RECV", "CLOSE_WAIT"];
/** Closed on this side, and the other end has not acknowledged all: in FIN_WAIT2 and TIME_WAIT it has (RFC 9293). */
const closing: readonly InetState[] = ["FIN_WAIT1", "CLOSING", "LAST_ACK"];

/**
 * Notes which TCP connections to the given remotes a tree has. To be called as shortly before the stop as possible.
 * @throws Error when a table of sockets cannot be read; TypeError for a remote that is no IP address
 */
export function observeRemote({ members, remotes }: ObserveRemoteOptions): RemoteWatch {
  const plain = remotes.map(({ address, port }) => ({ address: plainAddress(address), port }));
  if (plain.length === 0) return { remotes: [], inodes: [], doubts: [], elsewhere: [] };
  const self = readStatNow(process.pid);
  const own = heldSockets(self === null ? [] : [identityOf(self)]).holders;
  const connections = socketsAround(members, ["tcp"]).flatMap(({ row, elsewhere }) =>
    isTo(plain, row) && row.inode !== "0" && !own.has(row.inode) ? [{ row, elsewhere }] : [],
  );
  const oldestFirst = members.toSorted((one, other) => Number(one.startTime) - Number(other.startTime));
  const { found, unreadable } = searchHeld(oldestFirst, new Set(connections.map(({ row }) => row.inode)));
  return {
    remotes: plain,
    inodes: [...found],
    doubts:
      members.length === 0
        ? ["no process was left to see what it was connected to"]
        : unreadable.map(({ pid }) => `it could not be read what process ${pid} was connected to`),
    elsewhere: connections.filter(({ elsewhere }) => elsewhere).map(({ row }) => nameConnection(row)),
  };
}

/**
 * Says, once the tree is gone, whether anything of it can still reach the remotes: a connection that somebody else
 * holds, or bytes that the kernel still sends for a dead process. A connection that nobody holds cannot be told from
 * that of another program which ended at the same time, so it counts.
 * @throws Error when a table of sockets cannot be read
 */
export function drainedRemote(watch: RemoteWatch, options: DrainedRemoteOptions): RemoteDrain {
  const isForeignUser = foreignUserRule(options.noNewPrivileges, requireWholeProc());
  const own = heldSockets(options.exclude).holders;
  const seen = new Set(watch.inodes);
  const live: string[] = [];
  const draining: string[] = [];
  const unknown = watch.elsewhere.map(
    (name) => `${name} was in another network namespace, which cannot be looked into any more`,
  );
  for (const row of readSocketTable("self", ["tcp"])) {
    if (!isTo(watch.remotes, row) || own.has(row.inode)) continue;
    const isTrees = seen.has(row.inode);
    const isOrphan = row.inode === "0";
    if (isTrees && writing.includes(row.state)) live.push(`somebody still holds ${nameConnection(row)}`);
    else if ((isTrees || isOrphan) && (closing.includes(row.state) || row.txQueue > 0))
      draining.push(`the kernel still sends on ${nameConnection(row)}`);
    else if (!isTrees && !isOrphan && watch.doubts.length > 0 && !isForeignUser([row.uid]))
      unknown.push(`${nameConnection(row)} may be the tree's: ${watch.doubts.join(", ")}`);
  }
  if (live.length > 0) return { state: "live", reasons: tellReasons([...live, ...draining]) };
  if (unknown.length > 0) return { state: "unknown", reasons: tellReasons([...unknown, ...draining]) };
  if (draining.length > 0) return { state: "draining", reasons: tellReasons(draining) };
  return { state: "drained" };
}

const isTo = (remotes: readonly Endpoint[], row: SocketRow): row is InetSocket =>
  row.protocol === "tcp" &&
  remotes.some(
    ({ port, address }) => port === row.remote.port && address === plainAddress(row.remote.address),
  );

const nameConnection = ({ local, remote, state, txQueue }: InetSocket): string =>
  `tcp ${formatEndpoint(local)} to ${formatEndpoint(remote)} (${state}, ${txQueue} bytes not acknowledged)`;
