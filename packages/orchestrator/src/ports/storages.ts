import type { AccessKey, StorageManifest } from "@baton/protocol";
import { openObjectStore } from "@baton/storage";
import { readAccessKey } from "./secrets.ts";

type OpenStore = ReturnType<typeof openObjectStore>;

/** A store seen with Baton's own key. */
export const openControlStore = async (storage: StorageManifest): Promise<OpenStore> =>
  openStore(storage, await readAccessKey(storage.credentials.control));

/** The application's own key on a cluster. */
export async function readDataKey({ credentials }: StorageManifest, cluster: string): Promise<AccessKey> {
  const { data, dataByCluster } = credentials;
  // A cluster may be called "constructor".
  const own = Object.hasOwn(dataByCluster, cluster) ? dataByCluster[cluster] : undefined;
  return readAccessKey(own ?? data);
}

export const openStore = ({ endpoint, region, bucket }: StorageManifest, accessKey: AccessKey): OpenStore =>
  openObjectStore({ endpoint, region, bucket, accessKey });
