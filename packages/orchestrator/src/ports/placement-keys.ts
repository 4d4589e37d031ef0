import type { AccessKey, StorageManifest } from "@baton/protocol";
import { type Identities, identityOf } from "@baton/storage/fence";
import { readDataKey } from "./storages.ts";

const requestMs = 10_000;

/** With what key a placement's application reaches its storage. */
export interface PlacementKeys {
  /** Whatever takes a while and does not depend on the epoch; to be done before the application's downtime begins. */
  prepare(): Promise<void>;
  /** Null: the application keeps nothing there, and gets no key. */
  issue(epoch: number): Promise<AccessKey | null>;
}

/** A key of its own for each epoch where the storage has a fence; else the one that the manifest names for the cluster. */
export function createPlacementKeys(params: {
  /** Null: only the application's lease is there. */
  readonly storage: StorageManifest | null;
  readonly identities: Identities | null;
  readonly placement: string;
  readonly cluster: string;
}): PlacementKeys {
  const { storage, identities, placement, cluster } = params;
  if (storage === null) return { prepare: async () => {}, issue: async () => null };
  if (identities === null) return { prepare: async () => {}, issue: () => readDataKey(storage, cluster) };
  return {
    prepare: () => identities.prepare({ timeoutMs: requestMs }),
    issue: (epoch) =>
      identities.issue({ identity: identityOf(storage, placement, epoch), timeoutMs: requestMs }),
  };
}

/** As AWS's tools read a key from the environment. */
export const keyEnvironment = (key: AccessKey): Readonly<Record<string, string>> => ({
  AWS_ACCESS_KEY_ID: key.accessKeyId,
  AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
  ...(key.sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: key.sessionToken }),
});
