import { type SocketRow, heldSockets, readSocketTable } from "@baton/process-tree";
import type { Application } from "./application.ts";

type Tcp = Extract<SocketRow, { protocol: "tcp" | "udp" }>;

/**
 * Clients that are connected to the tree's listening ports, those not accepted yet among them. Connections within the tree do not count: a
 * server that talks to itself would never be quiet.
 *
 * @throws when it cannot be known
 */
export async function countConnections(application: Application): Promise<number> {
  const { members, unreadable } = await application.scan();
  const held = heldSockets(members);
  const hidden = [...unreadable, ...held.unreadable];
  if (hidden.length > 0) throw new Error(`it cannot be seen what process ${hidden[0]?.pid} is connected to`);
  return clientsOf(readSocketTable(members[0]?.pid), (inode) => held.holders.has(inode));
}

/** Pure. `isHeld`: by the inode of a socket, whether a process of the tree has it. */
export function clientsOf(table: readonly SocketRow[], isHeld: (inode: string) => boolean): number {
  const tcp = table.filter((row): row is Tcp => row.protocol === "tcp");
  const ports = new Set(
    tcp.filter(({ state, inode }) => state === "LISTEN" && isHeld(inode)).map(({ local }) => local.port),
  );
  const established = tcp.filter(({ state }) => state === "ESTABLISHED");
  const own = new Set(established.filter(({ inode }) => isHeld(inode)).map(({ local }) => nameOf(local)));
  return established.filter(
    ({ local, remote, inode }) =>
      ports.has(local.port) && (isHeld(inode) || inode === "0") && !own.has(nameOf(remote)),
  ).length;
}

const nameOf = ({ address, port }: Tcp["local"]): string => `${address} ${port}`;
