import { AppError } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { type MemoryBucket, createMemoryBucket } from "./memory-bucket.ts";
import type { ObjectStore } from "./object-store.port.ts";
import { type ProbeResult, assertProbe, probeStorage } from "./probe.ts";

const prefix = "ledger/";
const probe = (control: ObjectStore, data: ObjectStore): Promise<ProbeResult> =>
  probeStorage({ control, data, prefix, timeoutMs: 5_000 });
const failedOf = (result: ProbeResult): string[] =>
  result.tests.filter(({ passed }) => !passed).map(({ name }) => name);
const application = (bucket: MemoryBucket): ObjectStore => bucket.open({ writable: [prefix] });
const refusedWith = (code: string): unknown => expect.objectContaining({ code });

describe("probeStorage", () => {
  it("passes a store that honours conditions and separates the keys, and leaves nothing behind", async () => {
    const bucket = createMemoryBucket();
    const result = await probe(bucket.open(), application(bucket));
    expect(failedOf(result)).toEqual([]);
    expect(result.tests).toHaveLength(8);
    expect(() => assertProbe(result, 'the storage "main"')).not.toThrow();
    expect([...bucket.objects.keys()]).toEqual([]);
  });

  it("uses other scratch keys each time", async () => {
    const bucket = createMemoryBucket();
    await Promise.all([probe(bucket.open(), application(bucket)), probe(bucket.open(), application(bucket))]);
    expect(new Set(bucket.commits.map(({ key }) => key)).size).toBe(4);
  });

  it("finds a store that ignores conditions", async () => {
    const bucket = createMemoryBucket({ ignoreConditions: true });
    const result = await probe(bucket.open(), application(bucket));
    expect(failedOf(result)).toEqual([
      "a second create-only write is refused",
      "a write with a stale If-Match is refused",
      "a write with If-Match of a missing key is refused",
    ]);
    expect(() => assertProbe(result, 'the storage "main"')).toThrow(refusedWith("storage-conditions"));
    expect(() => assertProbe(result, 'the storage "main"')).toThrow(
      /^cannot use the storage "main": not true that a second create-only write is refused \(seen: stored\); .*; use a store that/,
    );
    expect([...bucket.objects.keys()]).toEqual([]);
  });

  it("finds a key of the application that can write to leases", async () => {
    const bucket = createMemoryBucket();
    const result = await probe(bucket.open(), bucket.open());
    expect(failedOf(result)).toEqual([
      "the application's key cannot write below .baton/",
      "the application's key cannot remove below .baton/",
    ]);
    expect(() => assertProbe(result, "it")).toThrow(refusedWith("storage-unprotected"));
  });

  it("finds a key of the application that cannot write to its own prefix", async () => {
    const bucket = createMemoryBucket();
    const result = await probe(bucket.open(), bucket.open({ writable: ["shop/"] }));
    expect(failedOf(result)).toEqual(["the application's key writes and reads below its prefix"]);
    expect(() => assertProbe(result, "it")).toThrow(refusedWith("storage-credentials"));
  });

  it("finds a store that does not implement conditions", async () => {
    const bucket = createMemoryBucket();
    const store = bucket.open();
    const put: ObjectStore["put"] = (request) =>
      request.condition === undefined
        ? store.put(request)
        : Promise.reject(new AppError("storage-failed", "cannot write: 501", { meta: { status: 501 } }));
    const result = await probe({ ...store, put }, application(bucket));
    expect(result.tests.slice(0, 5).map(({ passed, detail }) => ({ passed, detail }))).toEqual(
      Array.from({ length: 5 }, () => ({ passed: false, detail: "not implemented" })),
    );
    expect(() => assertProbe(result, "it")).toThrow(refusedWith("storage-conditions"));
  });

  it("finds that the application reads other bytes than it wrote", async () => {
    const bucket = createMemoryBucket();
    const data: ObjectStore = { ...application(bucket), get: () => Promise.resolve(null) };
    expect(failedOf(await probe(bucket.open(), data))).toEqual([
      "the application's key writes and reads below its prefix",
    ]);
  });

  it("ends where the application's key gets no answer, which is no verdict", async () => {
    const bucket = createMemoryBucket();
    const data: ObjectStore = {
      ...application(bucket),
      put: () => Promise.reject(new AppError("storage-unclear", "cannot write: 500")),
    };
    await expect(probe(bucket.open(), data)).rejects.toEqual(refusedWith("storage-unclear"));
  });

  it.each([
    "storage-bucket-missing",
    "storage-credentials",
    "storage-unreachable",
    "storage-unclear",
  ] as const)("ends with %s where that is no verdict", async (code) => {
    const bucket = createMemoryBucket();
    bucket.inject({ kind: "error", code });
    await expect(probe(bucket.open(), application(bucket))).rejects.toEqual(refusedWith(code));
    expect([...bucket.objects.keys()]).toEqual([]);
  });
});
