import { readProcFile } from "./proc-file.ts";
import type { Endpoint } from "./socket-address.ts";
import { formatEndpoint, parseEndpoint } from "./socket-address.ts";

/** A TCP or UDP socket, over IPv4 or IPv6. */
export interface InetSocket {
  readonly protocol: "tcp" | "udp";
  readonly local: Endpoint;
  /** Port 0 when there is no other end. */
  readonly remote: Endpoint;
  /** Of a UDP socket: ESTABLISHED when it is connected, else CLOSE. */
  readonly state: InetState;
  /** The user that made it; 0 for what no process holds. */
  readonly uid: number;
  /** What `socket:[inode]` behind an fd names; "0" when no process holds it, or none has accepted it yet. */
  readonly inode: string;
  /** Bytes written that the other end has not acknowledged; of a listening socket 0. */
  readonly txQueue: number;
}

export interface UnixSocket {
  readonly protocol: "unix";
  /** `@name` for an abstract one, null when it has no name. */
  readonly path: string | null;
  /** SO_ACCEPTCON: it listens. */
  readonly accepting: boolean;
  readonly inode: string;
}

export type SocketRow = InetSocket | UnixSocket;
export type InetState = (typeof states)[number];

/** By number from 1, as in the kernel's include/net/tcp_states.h. */
const states = [
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
  "BOUND_INACTIVE",
] as const;

/** One page: what the kernel gives at once. */
const PAGE = 4_096;
const SO_ACCEPTCON = 0x10000;

export type SocketProtocol = SocketRow["protocol"];

/**
 * Every TCP, UDP and unix socket in the network namespace of a process, or of the named protocols only. UDP-Lite,
 * SCTP, raw, packet and vsock sockets are not looked at.
 * @throws Error when a table cannot be read or is not of the form of proc_net(5)
 */
export function readSocketTable(
  pid: number | "self" = "self",
  protocols: readonly SocketProtocol[] = ["tcp", "udp", "unix"],
): readonly SocketRow[] {
  const look = (name: string): string | null => readProcFile(`/proc/${pid}/net/${name}`);
  const table = (name: string): readonly string[] => {
    const first = look(name);
    // A longer table comes page by page, and a socket that ends in between can make the kernel skip another
    // one. What stays is not skipped twice by such a chance, and what only one look saw counts as there.
    const looks = first !== null && first.length >= PAGE ? [first, look(name)] : [first];
    return looks.filter((text) => text !== null);
  };
  const required = (name: string): readonly string[] => {
    const looks = table(name);
    if (looks.length === 0) throw new Error(`cannot list the sockets: /proc/${pid}/net/${name} is not there`);
    return looks;
  };
  return protocols.flatMap((protocol): readonly SocketRow[] => {
    if (protocol === "unix") return union(required("unix"), parseUnix);
    const parse = (text: string): readonly InetSocket[] => parseInet(protocol, text);
    // Without IPv6 its table is missing. It comes first: that the other is there after it shows that it was for no
    // other reason.
    return [...union(table(`${protocol}6`), parse), ...union(required(protocol), parse)];
  });
}

/** `tcp 127.0.0.1:6379`, `udp [::]:53`, `unix /run/x.sock`. */
export function nameSocket(row: SocketRow): string {
  return row.protocol === "unix"
    ? `unix ${row.path ?? "(without a name)"}`
    : `${row.protocol} ${formatEndpoint(row.local)}`;
}

/** The rows of all the given looks at one table; of a row that several saw the last. */
export function union<Row extends SocketRow>(
  texts: readonly string[],
  parse: (text: string) => readonly Row[],
): readonly Row[] {
  const rows = new Map<string, Row>();
  for (const row of texts.flatMap(parse)) {
    const end = row.protocol === "unix" ? "" : formatEndpoint(row.remote);
    rows.set(`${row.inode} ${nameSocket(row)} ${end}`, row);
  }
  return [...rows.values()];
}

/** @throws Error for any line that is not of the form of proc_net_tcp(5) */
export function parseInet(protocol: "tcp" | "udp", text: string): readonly InetSocket[] {
  return linesOf(text, /^\s*sl\s+local_address\s/).map((line) => {
    const [, local, remote, state, txQueue, uid, inode] =
      /^\s*\d+: ([0-9A-F:]+) ([0-9A-F:]+) ([0-9A-F]{2}) ([0-9A-F]{8,}):[0-9A-F]{8,} [0-9A-F]{2}:[0-9A-F]{8,} [0-9A-F]{8,}\s+(\d+)\s+\d+ (\d+) /.exec(
        line,
      ) ?? [];
    const name = states[Number.parseInt(state ?? "", 16) - 1];
    if (local === undefined || remote === undefined || inode === undefined || name === undefined)
      throw malformed(line);
    return {
      protocol,
      local: parseEndpoint(local),
      remote: parseEndpoint(remote),
      state: name,
      uid: Number(uid),
      inode,
      // A listening socket tells its backlog here.
      txQueue: name === "LISTEN" ? 0 : Number.parseInt(txQueue ?? "", 16),
    };
  });
}

/** @throws Error when what stands first is not of the form of proc_net_unix(5) */
export function parseUnix(text: string): readonly UnixSocket[] {
  const rows: UnixSocket[] = [];
  for (const line of linesOf(text, /^Num\s+RefCount\s/)) {
    const [, flags, inode, path] =
      /^[0-9a-fA-F]+: [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{8}) [0-9A-F]{4} [0-9A-F]{2} +(\d+)(?: (.*))?$/.exec(
        line,
      ) ?? [];
    const before = rows.at(-1);
    if (flags !== undefined && inode !== undefined) {
      const accepting = (Number.parseInt(flags, 16) & SO_ACCEPTCON) !== 0;
      rows.push({ protocol: "unix", path: path ?? null, accepting, inode });
    } else if (before !== undefined && before.path !== null) {
      // A path is printed as it is, so it may hold newlines.
      rows[rows.length - 1] = { ...before, path: `${before.path}\n${line}` };
    } else throw malformed(line);
  }
  return rows;
}

function linesOf(text: string, header: RegExp): readonly string[] {
  const [first = "", ...rest] = text.replace(/\n$/, "").split("\n");
  if (!header.test(first)) throw malformed(first);
  return rest;
}

const malformed = (line: string): Error =>
  new Error(`cannot read a table of sockets: it has the line ${JSON.stringify(line.slice(0, 200))}`);
