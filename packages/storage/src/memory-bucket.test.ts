import { describe, expect, it } from "vitest";
import { createMemoryBucket } from "./memory-bucket.ts";
import { testObjectStore } from "./object-store.testsuite.ts";

testObjectStore("memory", () => {
  const bucket = createMemoryBucket();
  return {
    store: bucket.open(),
    restricted: bucket.open({ writable: ["data/"] }),
    teardown: () => undefined,
  };
});

describe("a fault", () => {
  const timeoutMs = 1_000;
  const put = { key: "k", body: "1", condition: { kind: "absent" }, timeoutMs } as const;

  it("hits the next request that it fits, once, in the order given", async () => {
    const bucket = createMemoryBucket();
    const store = bucket.open();
    bucket.inject({ kind: "error", code: "storage-failed", on: "remove" }, { kind: "refused" });
    expect(await store.put(put)).toEqual({ kind: "refused" });
    expect(await store.put(put)).toMatchObject({ kind: "stored" });
    await expect(store.remove(put)).rejects.toMatchObject({ code: "storage-failed" });
    await store.remove(put);
    expect(bucket.commits.map(({ method }) => method)).toEqual(["put", "remove"]);
  });

  it.each([
    ["applied", ["1"], ["1"]],
    ["dropped", [], []],
    ["late", [], ["1"]],
  ] as const)("leaves a write %s", async (write, now, later) => {
    const bucket = createMemoryBucket();
    bucket.inject({ kind: "unclear", write });
    await expect(bucket.open().put(put)).rejects.toMatchObject({ code: "storage-unclear" });
    expect(bucket.commits.map(({ body }) => body)).toEqual(now);
    bucket.deliverLate();
    expect(bucket.commits.map(({ body }) => body)).toEqual(later);
  });

  it("judges a late write when it arrives", async () => {
    const bucket = createMemoryBucket();
    bucket.inject({ kind: "unclear", write: "late" });
    await expect(bucket.open().put(put)).rejects.toMatchObject({ code: "storage-unclear" });
    await bucket.open().put({ ...put, body: "2" });
    bucket.deliverLate();
    expect(bucket.commits.map(({ body }) => body)).toEqual(["2"]);
  });
});
