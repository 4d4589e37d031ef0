import type { LeasePort } from "@baton/migration";
import type { StorageManifest } from "@baton/protocol";
import { applyLeaseWrite, claimPrefix, probeStorage, readLease } from "@baton/storage";
import { openControlStore, openStore, readDataKey } from "./storages.ts";

const readTimeoutMs = 5_000;
const writeDeadlineMs = 15_000;

export interface LeasePortParams {
  readonly storage: StorageManifest;
  readonly application: string;
  readonly owner: string;
  /** Whose data key the probe tries. */
  readonly cluster: string;
}

export async function createLeasePort({
  storage,
  application,
  owner,
  cluster,
}: LeasePortParams): Promise<LeasePort> {
  const store = await openControlStore(storage);
  const { prefix } = storage;
  return {
    owner,
    prefix,
    read: () => readLease({ store, prefix, timeoutMs: readTimeoutMs }),
    claim: () => claimPrefix({ store, prefix, owner, application, deadlineMs: writeDeadlineMs }),
    apply: (write) => applyLeaseWrite({ store, write, deadlineMs: writeDeadlineMs }),
    async probe() {
      const data = openStore(storage, await readDataKey(storage, cluster));
      return probeStorage({ control: store, data, prefix, timeoutMs: readTimeoutMs });
    },
  };
}
