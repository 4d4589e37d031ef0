import { beforeEach, describe, expect, it } from "vitest";
import { type MemoryBucket, type MemoryFault, createMemoryBucket } from "./memory-bucket.ts";
import type { ObjectStore } from "./object-store.port.ts";
import { getReceipt, putReceipt, receiptKey } from "./receipt-objects.ts";
import { createTestClock } from "./test-clock.ts";

const prefix = "ledger/";
const key = "op-00000000000000000001.stop.0";
const path = ".baton/leases/ledger/receipts/op-00000000000000000001.stop.0.jws";
const timeoutMs = 10_000;
const refusedWith = (code: string): unknown => expect.objectContaining({ code });

let bucket: MemoryBucket;
let store: ObjectStore;
beforeEach(() => {
  bucket = createMemoryBucket();
  store = bucket.open();
});

const put = (jws: string, ms = timeoutMs): Promise<"stored" | "present"> =>
  putReceipt({ store, prefix, key, jws, timeoutMs: ms, clock: createTestClock() });
const get = (): Promise<string | null> => getReceipt({ store, prefix, key, timeoutMs });
const commits = (): readonly string[] => bucket.commits.map(({ body }) => body);

describe("receiptKey", () => {
  it("puts a receipt beside its lease, below the control prefix", () => {
    expect(receiptKey(prefix, key)).toBe(path);
  });

  it.each([
    ["../", key],
    [".baton/leases/", key],
    [prefix, ""],
    [prefix, "a/b"],
    [prefix, "../../lease.json"],
    [prefix, "x".repeat(201)],
  ])("refuses %j with %j", (wrongPrefix, wrongKey) => {
    expect(() => receiptKey(wrongPrefix, wrongKey)).toThrow(refusedWith("invalid-request"));
  });
});

describe("a receipt", () => {
  it("is read as it was put, at a key of its own", async () => {
    expect(await get()).toBeNull();
    expect(await put("a.b.c")).toBe("stored");
    expect(await get()).toBe("a.b.c");
    expect([...bucket.objects.keys()]).toEqual([path]);
    expect(await getReceipt({ store, prefix, key: `${key}.1`, timeoutMs })).toBeNull();
  });

  it("is present when it is put again, and not written again", async () => {
    await put("a.b.c");
    expect(await put("a.b.c")).toBe("present");
    expect(commits()).toEqual(["a.b.c"]);
  });

  it("never takes the place of another one", async () => {
    await put("a.b.c");
    await expect(put("a.b.d")).rejects.toEqual(refusedWith("command-conflict"));
    expect(await get()).toBe("a.b.c");
  });

  it.each<[string, MemoryFault[], "stored" | "present"]>([
    ["was taken", [{ kind: "unclear", write: "applied" }], "present"],
    ["was not taken", [{ kind: "unclear", write: "dropped" }], "stored"],
    ["is still under way", [{ kind: "unclear", write: "late" }], "stored"],
    ["could not be sent", [{ kind: "error", code: "storage-unreachable" }], "stored"],
    ["met another write that failed (409)", [{ kind: "refused" }], "stored"],
    [
      "was taken, whose reading back is lost too",
      [
        { kind: "unclear", write: "applied" },
        { kind: "unclear", write: "dropped", on: "get" },
      ],
      "present",
    ],
  ])("is there once after a write that %s", async (_, faults, expected) => {
    bucket.inject(...faults);
    expect(await put("a.b.c")).toBe(expected);
    bucket.deliverLate();
    expect(commits()).toEqual(["a.b.c"]);
    expect(await get()).toBe("a.b.c");
  });

  it("is not known to be there when no answer came in time", async () => {
    bucket.inject(...Array.from({ length: 20 }, () => ({ kind: "unclear", write: "dropped" }) as const));
    await expect(put("a.b.c", 3_000)).rejects.toEqual(refusedWith("storage-unclear"));
  });

  it("is found by who asks again after that, maybe in another life", async () => {
    bucket.inject({ kind: "unclear", write: "applied" });
    await expect(put("a.b.c", 1)).rejects.toEqual(refusedWith("storage-unclear"));
    expect(await put("a.b.c")).toBe("present");
    expect(commits()).toEqual(["a.b.c"]);
  });

  it.each(["storage-credentials", "storage-bucket-missing", "storage-failed"] as const)(
    "is not there when the store says %s, and nothing is tried again",
    async (code) => {
      bucket.inject({ kind: "error", code });
      await expect(put("a.b.c")).rejects.toEqual(refusedWith(code));
      expect(commits()).toEqual([]);
    },
  );

  it("cannot be put by the application's key", async () => {
    store = bucket.open({ writable: [prefix] });
    await expect(put("a.b.c")).rejects.toEqual(refusedWith("storage-credentials"));
  });

  it("is not absent when the store cannot say so", async () => {
    bucket.inject({ kind: "unclear", write: "dropped", on: "get" });
    await expect(get()).rejects.toEqual(refusedWith("storage-unclear"));
  });
});
