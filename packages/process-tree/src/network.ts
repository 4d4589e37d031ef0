import { statSync } from "node:fs";
import { isAliveNow } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import type { SocketProtocol, SocketRow } from "./socket-table.ts";
import { readSocketTable } from "./socket-table.ts";

export interface MemberSocket {
  readonly row: SocketRow;
  /** It is in another network namespace than we are, whose tables end with its last process. */
  readonly elsewhere: boolean;
}

/**
 * Every socket of our network namespace and of those that some of the given processes have moved to.
 * @throws Error when a table cannot be read
 */
export function socketsAround(
  members: readonly ProcessIdentity[],
  protocols?: readonly SocketProtocol[],
): readonly MemberSocket[] {
  const own = networkOf("self");
  const others = Map.groupBy(members, ({ pid }) => networkOf(pid));
  const sockets = readSocketTable("self", protocols).map((row) => ({ row, elsewhere: false }));
  for (const [network, inside] of others) {
    if (network === null || network === own) continue;
    sockets.push(...tableOfFirst(inside, protocols).map((row) => ({ row, elsewhere: true })));
  }
  return sockets;
}

/** The table as one of the processes has it: any that lives will do, and if none does it has none. */
function tableOfFirst(
  inside: readonly ProcessIdentity[],
  protocols: readonly SocketProtocol[] | undefined,
): readonly SocketRow[] {
  for (const identity of inside) {
    try {
      return readSocketTable(identity.pid, protocols);
    } catch (error) {
      if (isAliveNow(identity)) throw error;
    }
  }
  return [];
}

/**
 * What tells the network namespace of one process from another's: the kernel keeps a /proc/net for each, with files
 * of its own. Unlike the link ns/net anybody may look at it. Null when the process ended.
 */
function networkOf(pid: number | "self"): bigint | null {
  return statSync(`/proc/${pid}/net/tcp`, { bigint: true, throwIfNoEntry: false })?.ino ?? null;
}
