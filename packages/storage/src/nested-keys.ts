import { newNonce } from "@baton/protocol";
import type { BucketPort, ListingLimit } from "./bucket.port.ts";
import type { ObjectStore } from "./object-store.port.ts";

/**
 * Whether the store lists "a/b" where there is an object "a": MinIO does not, although "a/b" can be read, so an inventory there lacks whatever
 * is nested like that. Tried at the scratch keys `<prefix>.baton-nested-<random>` and below, removed afterwards.
 *
 * @throws AppError what the calls of both ports throw; a scratch key that cannot be removed harms nobody.
 */
export async function listsNestedKeys(
  params: ListingLimit & {
    readonly store: ObjectStore;
    readonly bucket: Pick<BucketPort, "listVersions">;
    readonly prefix: string;
  },
): Promise<boolean> {
  const { store, bucket, prefix, ...limit } = params;
  const timeoutMs = limit.pageTimeoutMs;
  const outer = `${prefix}.baton-nested-${newNonce()}`;
  const keys = [outer, `${outer}/inner`];
  try {
    for (const key of keys) await store.put({ key, body: "", timeoutMs });
    const listed = new Set<string>();
    for await (const { entries } of bucket.listVersions({ ...limit, prefix: outer }))
      for (const { key } of entries) listed.add(key);
    return keys.every((key) => listed.has(key));
  } finally {
    await Promise.allSettled(keys.map((key) => store.remove({ key, timeoutMs })));
  }
}
