import { testObjectStore } from "@baton/storage/testsuite";
import { afterAll, beforeAll, describe } from "vitest";
import { openConformance } from "./conformance.ts";
import { ceph, type StoreBed, bedMs } from "./store-bed.ts";

describe("Ceph", { skip: ceph.missing !== null, meta: ceph.meta }, () => {
  let bed: StoreBed;
  beforeAll(async () => {
    bed = await ceph.open();
  }, bedMs);
  afterAll(() => bed.close(), bedMs);

  // Most of those who lose a race for an ETag get 500 UnknownError (16.2).
  const capabilities = { tellsLosers: false };
  testObjectStore("one endpoint", () => openConformance(bed, 0), capabilities);
  testObjectStore("the other endpoint", () => openConformance(bed, 1), capabilities);
});
