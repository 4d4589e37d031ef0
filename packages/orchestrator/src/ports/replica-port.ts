import type { ReplicaPort } from "@baton/migration";
import type { StorageManifest } from "@baton/protocol";
import { openBucket, waitForEqualInventory } from "@baton/storage/bucket";
import { isReplica, placeOn, readDataKey } from "./storages.ts";

const pageTimeoutMs = 15_000;
/** In ms. */
const usualWait = 300_000;

interface Ends {
  readonly storage: StorageManifest;
  /** The clusters. */
  readonly source: string | null;
  readonly target: string | null;
}

/** How long it may be waited that one end shows what was written at the other; 0 where both show the same at once. */
export function replicaMsOf({ storage, source, target }: Ends): number {
  if (source === null || target === null) return 0;
  const ends = [source, target];
  const isLate = ends.some((cluster) => isReplica(storage, cluster));
  const [at, to] = ends.map((cluster) => new URL(placeOn(storage, cluster).endpoint).href);
  if (!isLate || at === to) return 0;
  return Math.max(
    ...ends.flatMap((cluster) =>
      isReplica(storage, cluster) ? [storage.clusters?.[cluster]?.replicaWaitMs ?? usualWait] : [],
    ),
  );
}

/**
 * Lists what is below the prefix at both ends, each with the application's key there. What was written is known at the end where the last holder wrote: where
 * that is a replica itself, even the storage's own endpoint may lack some of it.
 */
export function createReplicaPort(ends: Ends): ReplicaPort | null {
  const { storage, source, target } = ends;
  const deadlineMs = replicaMsOf(ends);
  if (source === null || target === null || deadlineMs === 0) return null;
  const open = async (cluster: string) => {
    const place = placeOn(storage, cluster);
    const accessKey = await readDataKey(storage, cluster);
    return {
      endpoint: place.endpoint,
      bucket: openBucket({ ...place, accessKey, ifMatch: storage.ifMatch }),
    };
  };
  return {
    async waitUntilEqual(writer, signal) {
      const written = await open(writer === "source" ? source : target);
      const replica = await open(writer === "source" ? target : source);
      try {
        const { inventory, looks, waitedMs } = await waitForEqualInventory({
          written,
          replica,
          prefix: storage.prefix,
          pageTimeoutMs,
          deadlineMs,
          signal,
        });
        const { objects, bytes, digest } = inventory;
        return {
          written: written.endpoint,
          replica: replica.endpoint,
          inventory: { objects, bytes, digest },
          looks,
          waitedMs,
          equalAt: new Date().toISOString(),
        };
      } finally {
        for (const { bucket } of [written, replica]) bucket.close();
      }
    },
  };
}
