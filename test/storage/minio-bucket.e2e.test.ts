import { testBucket } from "@baton/storage/bucket-testsuite";
import { afterAll, beforeAll, describe } from "vitest";
import { openBucketConformance } from "./bucket-conformance.ts";
import { type StoreBed, bedMs, minio } from "./store-bed.ts";

describe("MinIO", { skip: minio.missing !== null, meta: minio.meta }, () => {
  let bed: StoreBed;
  beforeAll(async () => {
    bed = await minio.open();
  }, bedMs);
  afterAll(() => bed.close(), bedMs);

  // It looks at no condition of a removal.
  const capabilities = {
    versioning: "never",
    versions: true,
    nestedKeys: false,
    multipart: true,
    uploadsByPrefix: false,
    conditionalComplete: true,
    conditionalRemove: false,
    presign: true,
  } as const;
  testBucket("one endpoint", capabilities, () => openBucketConformance(bed));
});
