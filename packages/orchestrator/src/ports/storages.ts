import type { AccessKey, StorageManifest } from "@baton/protocol";
import { type S3Location, openObjectStore } from "@baton/storage";
import { readAccessKey } from "./secrets.ts";

type OpenStore = ReturnType<typeof openObjectStore>;
/** How a cluster reaches the storage; the orchestrator itself goes the way that holds for everybody (no cluster). */
export function placeOn(storage: StorageManifest, cluster: string | null): S3Location {
  const { endpoint, region, bucket, addressing, ca, clusters = {} } = storage;
  // A cluster may be called "constructor".
  const own = cluster !== null && Object.hasOwn(clusters, cluster) ? clusters[cluster] : undefined;
  return {
    bucket,
    endpoint: own?.endpoint ?? endpoint,
    region: own?.region ?? region,
    addressing: own?.addressing ?? addressing,
    ca: own?.ca ?? ca,
  };
}

/** Whether what is written elsewhere shows late at the cluster's endpoint. */
export const isReplica = ({ clusters = {} }: StorageManifest, cluster: string): boolean =>
  Object.hasOwn(clusters, cluster) && clusters[cluster]?.replica !== undefined;

/** Every endpoint that is a replica. */
export const replicasOf = (storage: StorageManifest): readonly string[] =>
  Object.keys(storage.clusters ?? {}).flatMap((cluster) =>
    isReplica(storage, cluster) ? [placeOn(storage, cluster).endpoint] : [],
  );

/** Every way to the bucket that anybody may go, each endpoint once. */
export function placesOf(storage: StorageManifest): readonly S3Location[] {
  const places = [
    placeOn(storage, null),
    ...Object.keys(storage.clusters ?? {}).map((cluster) => placeOn(storage, cluster)),
    ...(storage.otherEndpoints ?? []).map((endpoint) => ({ ...placeOn(storage, null), endpoint })),
  ];
  return [...new Map(places.map((place) => [new URL(place.endpoint).href, place])).values()];
}

/** A store seen with Baton's own key, which is read again for every request, so that a rotated one counts at once. */
export const openControlStore = async (
  storage: StorageManifest,
  place = placeOn(storage, null),
): Promise<OpenStore> => {
  const readKey = (): Promise<AccessKey> => readAccessKey(storage.credentials.control);
  // What cannot be read is said here, before anything is asked of the store.
  await readKey();
  return openObjectStore({ ...place, accessKey: readKey, ifMatch: storage.ifMatch });
};

/** The application's own key on a cluster. */
export async function readDataKey({ credentials }: StorageManifest, cluster: string): Promise<AccessKey> {
  const { data, dataByCluster } = credentials;
  const own = Object.hasOwn(dataByCluster, cluster) ? dataByCluster[cluster] : undefined;
  return readAccessKey(own ?? data);
}

export const openStore = (
  storage: StorageManifest,
  accessKey: AccessKey,
  place = placeOn(storage, null),
): OpenStore => openObjectStore({ ...place, accessKey, ifMatch: storage.ifMatch });
