import { testBucket } from "@baton/storage/bucket-testsuite";
import { afterAll, beforeAll, describe } from "vitest";
import { openBucketConformance } from "./bucket-conformance.ts";
import { type StoreBed, bedMs, ceph } from "./store-bed.ts";

describe("Ceph", { skip: ceph.missing !== null, meta: ceph.meta }, () => {
  let bed: StoreBed;
  beforeAll(async () => {
    bed = await ceph.open();
  }, bedMs);
  afterAll(() => bed.close(), bedMs);

  // Release 16.2 looks at no condition of a removal, nor of an upload's completion.
  const capabilities = {
    versioning: "never",
    versions: true,
    nestedKeys: true,
    multipart: true,
    uploadsByPrefix: true,
    conditionalComplete: false,
    conditionalRemove: false,
    presign: true,
  } as const;
  testBucket("one endpoint", capabilities, () => openBucketConformance(bed));
});
