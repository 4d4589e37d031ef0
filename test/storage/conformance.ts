import { openObjectStore } from "@baton/storage";
import type { ObjectStoreSetup } from "@baton/storage/testsuite";
import type { StoreBed } from "./store-bed.ts";

/** A fresh bucket of a real store, at one of its endpoints. */
export async function openConformance(bed: StoreBed, which: 0 | 1): Promise<ObjectStoreSetup> {
  const bucket = await bed.makeBucket();
  const { region, ifMatch } = bed;
  const at = { endpoint: bed.endpoints[which], region, bucket, ifMatch };
  const store = openObjectStore({ ...at, accessKey: bed.root });
  const restricted = openObjectStore({ ...at, accessKey: await bed.narrow(bucket, "data/") });
  return {
    store,
    restricted,
    teardown: () => {
      store.close();
      restricted.close();
    },
  };
}
