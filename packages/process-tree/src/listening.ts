import { visitProcesses } from "./every-process.ts";
import { openSockets } from "./held-sockets.ts";
import type { ListeningWatch, WatchedSocket } from "./observe-listening.ts";
import { identityOf } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readSocketTable } from "./socket-table.ts";
import { nameProcess, tellReasons } from "./tell.ts";
import { belongingRule } from "./tree-bounds.ts";

export interface SocketHolder extends ProcessIdentity {
  readonly comm: string;
  /** The watched sockets that it holds. */
  readonly sockets: readonly string[];
}

export type ListeningRelease = {
  /** What the tree was seen to listen on, for the receipt. */
  readonly watched: readonly string[];
} & (
  | { readonly state: "free" }
  | { readonly state: "held"; readonly by: readonly SocketHolder[]; readonly reasons: readonly string[] }
  | { readonly state: "unknown"; readonly reasons: readonly string[] }
);

/**
 * Says, once the tree is gone, whether everything that it listened on is released. A socket of the watch that is
 * still there is `held` if it can be seen by whom (an orphan that inherited it, an escapee), else `unknown`. Fine are
 * a stranger's socket on the same port, a twin by SO_REUSEPORT, TIME_WAIT, and the file of a unix socket. A socket of
 * which no member was seen to hold it counts only if who holds it now may be of the tree.
 * @throws Error when /proc cannot be trusted, or a table of sockets cannot be read
 */
export async function releasedListening(watch: ListeningWatch): Promise<ListeningRelease> {
  const watched = watch.sockets.filter(({ certain }) => certain).map(({ name }) => name);
  if (watch.extent === "none")
    return { state: "unknown", reasons: ["no process was left to see what it listened on"], watched };
  if (remainingOf(watch).length === 0) return { state: "free", watched };

  const { holders, unreadable, suspects, settled } = await findHolders(watch);
  // What was let go of during the search is free by now.
  const remaining = remainingOf(watch);
  const isHeldBy = (holder: Holder, { certain, inode }: WatchedSocket): boolean =>
    holder.inodes.has(inode) && (certain || holder.isSuspect);
  const by = holders.flatMap((holder) => {
    const sockets = remaining.filter((socket) => isHeldBy(holder, socket)).map(({ name }) => name);
    return sockets.length === 0 ? [] : [{ ...holder.identity, comm: holder.comm, sockets }];
  });
  if (by.length > 0) {
    const reasons = by.flatMap((holder) =>
      holder.sockets.map((name) => `${nameProcess(holder)} still holds ${name}`),
    );
    return { state: "held", by, reasons: tellReasons(reasons), watched };
  }

  const lost = remaining.filter(
    ({ certain, elsewhere, inode }) =>
      certain ||
      (!holders.some(({ inodes }) => inodes.has(inode)) && (elsewhere || suspects > 0 || !settled)),
  );
  if (lost.length === 0) return { state: "free", watched };
  const why = [
    ...(settled ? [] : ["processes came and went faster than they could be read"]),
    ...(unreadable.length === 0 ? [] : [`not to be read: ${tellReasons(unreadable).join(", ")}`]),
  ].join("; ");
  const reasons = lost.map(({ name, elsewhere }) =>
    elsewhere
      ? `${name} was in another network namespace, which cannot be looked into any more`
      : `${name} is still there, and nobody is seen to hold it${why === "" ? "" : ` (${why})`}`,
  );
  return { state: "unknown", reasons: tellReasons(reasons), watched };
}

interface Holder {
  readonly identity: ProcessIdentity;
  readonly comm: string;
  readonly inodes: ReadonlySet<string>;
  /** It may be of the tree. */
  readonly isSuspect: boolean;
}

/** Who holds sockets of the watch now, and whom one cannot ask; `suspects` counts those of them that may be of the tree. */
async function findHolders({ sockets, since, noNewPrivileges }: ListeningWatch) {
  const wanted = new Set(sockets.map(({ inode }) => inode));
  const mayBelong = belongingRule({ since, noNewPrivileges, exclude: [process.pid] });
  const holders: Holder[] = [];
  const unreadable: string[] = [];
  let suspects = 0;
  const settled = await visitProcesses((stat) => {
    const open = openSockets(stat);
    if (open === "vanished") return false;
    if (open === "unreadable") {
      unreadable.push(nameProcess(stat));
      if (mayBelong(stat)) suspects++;
      return true;
    }
    const inodes = new Set([...open].filter((inode) => wanted.has(inode)));
    if (inodes.size > 0)
      holders.push({ identity: identityOf(stat), comm: stat.comm, inodes, isSuspect: mayBelong(stat) });
    return true;
  });
  return { holders, unreadable, suspects, settled };
}

/** Those of another namespace cannot be seen to be gone. */
function remainingOf({ sockets }: ListeningWatch): readonly WatchedSocket[] {
  const protocols = [...new Set(sockets.map(({ protocol }) => protocol))];
  const present = new Set(readSocketTable("self", protocols).map((row) => `${row.protocol} ${row.inode}`));
  return sockets.filter(({ protocol, inode, elsewhere }) => elsewhere || present.has(`${protocol} ${inode}`));
}
