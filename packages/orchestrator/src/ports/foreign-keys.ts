import { type AccessKey, AppError, type KeyFence, type StorageManifest } from "@baton/protocol";
import { type Identities, assertDoorsOpen, fenceCredentials } from "@baton/storage/fence";
import { abortUploads, fenceDeadlineMs, inventoryBelow, settleMsOf, withDoors } from "./key-fence.ts";
import { readAccessKey } from "./secrets.ts";

const requestMs = 10_000;

/** Takes keys away that Baton did not make. Both idempotent. */
export interface ForeignKeys {
  /** Sees that the key is let in at every endpoint. @throws `fence-unproven`. */
  assertOpen(key: AccessKey): Promise<void>;
  /** After it the store takes nothing more of this key, also nothing that had begun before. @throws `fence-unproven`. */
  fence(key: AccessKey): Promise<KeyFence>;
}

/** Null where the storage has no fence, or its provider takes only such keys away as it made. */
export function createForeignKeys(params: {
  readonly storage: StorageManifest;
  readonly identities: Identities | null;
  readonly inFlightMs: () => Promise<number | null>;
}): ForeignKeys | null {
  const { storage, identities, inFlightMs } = params;
  const disableKey = identities?.disableKey?.bind(identities);
  if (disableKey === undefined) return null;
  const { prefix } = storage;
  return {
    async assertOpen(key) {
      await assertNotOurs(storage, key);
      await settleMsOf(storage, inFlightMs);
      await withDoors(storage, key, (doors) => assertDoorsOpen({ doors, prefix, timeoutMs: requestMs }));
    },
    async fence(key) {
      await assertNotOurs(storage, key);
      const settleMs = await settleMsOf(storage, inFlightMs);
      const { accessKeyId } = key;
      return withDoors(storage, key, (doors) =>
        fenceCredentials({
          identities: { disable: ({ timeoutMs }) => disableKey({ accessKeyId, timeoutMs }) },
          identity: accessKeyId,
          doors,
          prefix,
          settleMs,
          deadlineMs: fenceDeadlineMs(settleMs),
          abortUploads: ({ timeoutMs }) => abortUploads(storage, timeoutMs),
          takeInventory: ({ timeoutMs }) => inventoryBelow(storage, timeoutMs),
        }),
      );
    },
  };
}

/** Whoever names a key of ours would shut us out for good. */
async function assertNotOurs({ name, credentials, fence }: StorageManifest, key: AccessKey): Promise<void> {
  const { control, data, dataByCluster } = credentials;
  const files = [
    control,
    data,
    ...Object.values(dataByCluster),
    ...(fence === undefined ? [] : [fence.admin]),
  ];
  for (const file of files)
    if ((await readAccessKey(file)).accessKeyId === key.accessKeyId)
      throw new AppError(
        "invalid-request",
        `cannot take the key ${key.accessKeyId} away: storage "${name}" is declared with it (${file.file}); give the storage keys of its own first`,
      );
}
