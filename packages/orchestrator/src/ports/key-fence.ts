import type { KeyHolder } from "@baton/migration";
import { type AccessKey, AppError, type KeyFence, type StorageManifest } from "@baton/protocol";
import { findOpenUploads, openBucket, takeInventory } from "@baton/storage/bucket";
import {
  type Door,
  type Identities,
  assertDoorsOpen,
  disableIdentity,
  fenceCredentials,
  identityOf,
} from "@baton/storage/fence";
import type { Fence } from "./fence-port.ts";
import { readAccessKey } from "./secrets.ts";
import { openStore, placeOn, placesOf } from "./storages.ts";

const requestMs = 10_000;
/** Asked again within it where the store fails over it. */
const disableMs = 30_000;
/** Besides the wait for what had begun: until every endpoint refuses, twice. */
const denialMs = 60_000;
/** A million objects take about two minutes. */
const inventoryMs = 180_000;

/** The fence of a storage whose placements have keys of their own. */
export function createKeyFence(params: {
  readonly storage: StorageManifest;
  readonly identities: Identities;
  /** How long the store was seen to wait for the rest of a body; null when that is not known. */
  readonly inFlightMs: () => Promise<number | null>;
}): Fence<KeyFence> {
  const { storage, identities } = params;
  const { prefix } = storage;
  const identityFor = ({ placement, epoch }: KeyHolder): string => identityOf(storage, placement, epoch);

  /** Every endpoint, with the holder's own key. */
  const withDoorsOf = async <T>(
    holder: KeyHolder,
    use: (doors: readonly Door[]) => Promise<T>,
  ): Promise<T> => {
    const identity = identityFor(holder);
    const key = await identities.keyOf({ identity, timeoutMs: requestMs });
    if (key === null)
      throw unproven(`the store knows no key of ${holder.placement} in epoch ${holder.epoch}`);
    return withDoors(storage, key, use);
  };

  return {
    assertOpen: async (holder) => {
      await settleMsOf(storage, params.inFlightMs);
      await withDoorsOf(holder, (doors) => assertDoorsOpen({ doors, prefix, timeoutMs: requestMs }));
    },
    apply: async (holder) => {
      const settle = await settleMsOf(storage, params.inFlightMs);
      return withDoorsOf(holder, (doors) =>
        fenceCredentials({
          identities,
          identity: identityFor(holder),
          doors,
          prefix,
          settleMs: settle,
          deadlineMs: fenceDeadlineMs(settle),
          abortUploads: ({ timeoutMs }) => abortUploads(storage, timeoutMs),
          takeInventory: ({ timeoutMs }) => inventoryBelow(storage, timeoutMs),
        }),
      );
    },
    disable: (holder) =>
      disableIdentity({ identities, identity: identityFor(holder), deadlineMs: disableMs }),
  };
}

/** Every endpoint of the storage with this key, for as long as `use` takes. */
export async function withDoors<T>(
  storage: StorageManifest,
  key: AccessKey,
  use: (doors: readonly Door[]) => Promise<T>,
): Promise<T> {
  const doors = placesOf(storage).map((place) => ({
    endpoint: place.endpoint,
    store: openStore(storage, key, place),
  }));
  try {
    return await use(doors);
  } finally {
    for (const { store } of doors) store.close();
  }
}

/** Twice what was measured: MinIO was seen to begin its timer anew once, and to end after 61 s what it usually ends after 30. */
export async function settleMsOf(
  storage: StorageManifest,
  inFlightMs: () => Promise<number | null>,
): Promise<number> {
  const measured = await inFlightMs();
  if (measured === null)
    throw unproven(
      `it is not known how long the store waits for the rest of a write that has begun; measure it with \`baton storage probe ${storage.name} --in-flight\``,
    );
  return Math.ceil(Math.max(storage.settleMs, 2 * measured + 1_000));
}

export const fenceDeadlineMs = (settleMs: number): number => settleMs + denialMs + inventoryMs;

/** The bucket with Baton's own key, for as long as `use` takes. */
async function withBucket<T>(
  storage: StorageManifest,
  use: (bucket: ReturnType<typeof openBucket>) => Promise<T>,
): Promise<T> {
  const accessKey = await readAccessKey(storage.credentials.control);
  const bucket = openBucket({ ...placeOn(storage, null), accessKey, ifMatch: storage.ifMatch });
  try {
    return await use(bucket);
  } finally {
    bucket.close();
  }
}

const listing = ({ prefix }: StorageManifest, timeoutMs: number) => ({
  prefix,
  pageTimeoutMs: Math.min(requestMs, timeoutMs),
  deadlineMs: timeoutMs,
});

export const abortUploads = (storage: StorageManifest, timeoutMs: number): Promise<KeyFence["uploads"]> =>
  withBucket(storage, async (bucket) => {
    const limits = listing(storage, timeoutMs);
    const { uploads, complete } = await findOpenUploads({ bucket, ...limits });
    for (const upload of uploads) await bucket.abortUpload({ ...upload, timeoutMs: limits.pageTimeoutMs });
    return { aborted: uploads.length, complete };
  });

export const inventoryBelow = (storage: StorageManifest, timeoutMs: number): Promise<KeyFence["inventory"]> =>
  withBucket(storage, async (bucket) => {
    const { objects, bytes, digest } = await takeInventory({ bucket, ...listing(storage, timeoutMs) });
    return { objects, bytes, digest };
  });

const unproven = (why: string): AppError =>
  new AppError("fence-unproven", `cannot fence the source: ${why}; nothing is handed over without it`);
