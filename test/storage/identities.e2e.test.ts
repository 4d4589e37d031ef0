import type { AccessKey } from "@baton/protocol";
import { openObjectStore } from "@baton/storage";
import {
  type Identities,
  createCephIdentities,
  createMinioIdentities,
  openBucketPolicy,
} from "@baton/storage/fence";
import { testIdentities } from "@baton/storage/fence/testsuite";
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe } from "vitest";
import { type StoreBed, bedMs, ceph, minio } from "./store-bed.ts";

const prefix = "ledger/";
/** Nothing listens there. */
const nowhere = "http://127.0.0.1:9";

interface Binding {
  readonly bucket: string;
  readonly prefix: string;
  readonly endpoint: string;
  readonly region: string;
  readonly admin: () => Promise<AccessKey>;
}
type Create = (binding: Binding) => Identities;

const onCeph: Create = (binding) => {
  const accessKey = binding.admin;
  return createCephIdentities({ ...binding, policy: openBucketPolicy({ ...binding, accessKey }) });
};
const onMinio: Create = (binding) =>
  createMinioIdentities({
    ...binding,
    secretOf: (identity) => createHash("sha256").update(`test ${identity}`).digest("hex"),
  });

for (const [store, create] of [
  [ceph, onCeph],
  [minio, onMinio],
] as const)
  describe(`${store.meta.needs.part}`, { skip: store.missing !== null, meta: store.meta }, () => {
    let bed: StoreBed;
    beforeAll(async () => {
      bed = await store.open();
    }, bedMs);
    afterAll(() => bed.close(), bedMs);

    testIdentities(store.meta.needs.part, async () => {
      const bucket = await bed.makeBucket();
      const { region, ifMatch, root, endpoints } = bed;
      const [endpoint] = endpoints;
      const binding = { bucket, prefix, endpoint, region, admin: async () => root };
      const narrow = await bed.narrow(bucket, prefix);
      const all = [
        create(binding),
        create({ ...binding, endpoint: nowhere }),
        create({ ...binding, admin: async () => narrow }),
      ] as const;
      const [identities, astray, powerless] = all;
      return {
        bucket,
        prefix,
        identities,
        astray,
        powerless,
        open: (accessKey) =>
          endpoints.map((each) => ({
            endpoint: each,
            store: openObjectStore({ endpoint: each, region, bucket, ifMatch, accessKey }),
          })),
        teardown: () => {
          for (const each of all) each.close();
        },
      };
    });
  });
