import { testObjectStore } from "@baton/storage/testsuite";
import { afterAll, beforeAll, describe } from "vitest";
import { openConformance } from "./conformance.ts";
import { minio, type StoreBed, bedMs } from "./store-bed.ts";

describe("MinIO", { skip: minio.missing !== null, meta: minio.meta }, () => {
  let bed: StoreBed;
  beforeAll(async () => {
    bed = await minio.open();
  }, bedMs);
  afterAll(() => bed.close(), bedMs);

  testObjectStore("one endpoint", () => openConformance(bed, 0));
  testObjectStore("the other endpoint", () => openConformance(bed, 1));
});
