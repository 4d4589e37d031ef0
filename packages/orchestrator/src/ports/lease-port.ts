import type { LeasePort } from "@baton/migration";
import type { StorageManifest } from "@baton/protocol";
import { applyLeaseWrite, claimPrefix, readLease } from "@baton/storage";
import { openControlStore } from "./storages.ts";

const readTimeoutMs = 5_000;
const writeDeadlineMs = 15_000;

export interface LeasePortParams {
  readonly storage: StorageManifest;
  readonly application: string;
  readonly owner: string;
}

/** Reads Baton's own key at the first use: a secret that cannot be read then fails a step, which says so and is taken back. */
export function createLeasePort({ storage, application, owner }: LeasePortParams): LeasePort {
  const { prefix } = storage;
  let opened: ReturnType<typeof openControlStore> | undefined;
  const open = async () => {
    opened ??= openControlStore(storage);
    try {
      return await opened;
    } catch (error) {
      opened = undefined;
      throw error;
    }
  };
  return {
    owner,
    prefix,
    read: async () => readLease({ store: await open(), prefix, timeoutMs: readTimeoutMs }),
    claim: async () =>
      claimPrefix({ store: await open(), prefix, owner, application, deadlineMs: writeDeadlineMs }),
    apply: async (write) => applyLeaseWrite({ store: await open(), write, deadlineMs: writeDeadlineMs }),
  };
}
