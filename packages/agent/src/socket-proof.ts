import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import {
  type TreeScan,
  drainedRemote,
  identify,
  observeListening,
  observeRemote,
  releasedListening,
} from "@baton/process-tree";
import type { Check } from "@baton/protocol";

export interface StoreAddress {
  readonly host: string;
  readonly port: number;
}

type Verdict = Pick<Check, "state" | "detail">;

/** What the tree listened on and was connected to, and whether that is over. */
export interface SocketProof {
  /** False: no process was left to be asked. */
  readonly hasSeen: boolean;
  listening(): Promise<Verdict>;
  towardsStore(): Promise<Verdict>;
}

const lookupMs = 2_000;

/** Looks at a living tree. @throws when /proc cannot be trusted */
export async function observeSockets(params: {
  readonly scan: Pick<TreeScan, "members" | "unreadable">;
  readonly store: StoreAddress | null;
  readonly since: string;
  readonly noNewPrivileges: boolean;
}): Promise<SocketProof> {
  const { scan, store, since, noNewPrivileges } = params;
  // Before anything is awaited: a process may end any moment.
  const members = [...scan.members, ...scan.unreadable];
  const watch = observeListening({ members, since, noNewPrivileges });
  const hasSeen = watch.extent !== "none";
  const remotes = store === null ? [] : await addressesOf(store);
  const remote = remotes === null ? null : observeRemote({ members, remotes });
  const self = await identify(process.pid);
  return {
    hasSeen,
    async listening() {
      if (!hasSeen)
        return { state: "passed", detail: ["it had ended before it was seen what it listened on"] };
      const released = await releasedListening(watch);
      if (released.state === "free") return { state: "passed", detail: [...released.watched] };
      return { state: released.state === "held" ? "failed" : "unknown", detail: [...released.reasons] };
    },
    async towardsStore() {
      if (remote === null)
        return { state: "unknown", detail: [`the address of the store ${store?.host} could not be found`] };
      // What the dead still send is seen all the same; whose the living connections are is not.
      const known = hasSeen ? remote : { ...remote, doubts: [] };
      const drained = drainedRemote(known, { exclude: self === null ? [] : [self], noNewPrivileges });
      if (drained.state === "drained") return { state: "passed", detail: [] };
      return { state: drained.state === "unknown" ? "unknown" : "failed", detail: [...drained.reasons] };
    },
  };
}

/** Every address that the tree may have reached the store by; null when that cannot be found out. */
async function addressesOf({ host, port }: StoreAddress) {
  if (isIP(host) !== 0) return [{ address: host, port }];
  const found = await Promise.race([
    lookup(host, { all: true }).catch(() => null),
    delay(lookupMs, null, { ref: false }),
  ]);
  return found === null ? null : found.map(({ address }) => ({ address, port }));
}
