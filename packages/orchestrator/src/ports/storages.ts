import type { AccessKey, StorageManifest } from "@baton/protocol";
import { type ObjectStore, openObjectStore } from "@baton/storage";
import { readAccessKey } from "./secrets.ts";

/** A store seen with Baton's own key. */
export const openControlStore = async (storage: StorageManifest): Promise<ObjectStore> =>
  openStore(storage, await readAccessKey(storage.credentials.control));

/** The application's own key on a cluster. */
export const readDataKey = (storage: StorageManifest, cluster: string): Promise<AccessKey> =>
  readAccessKey(storage.credentials.dataByCluster[cluster] ?? storage.credentials.data);

export function openStore(
  { endpoint, region, bucket }: StorageManifest,
  accessKey: AccessKey,
): ReturnType<typeof openObjectStore> {
  return openObjectStore({ endpoint, region, bucket, accessKey });
}
