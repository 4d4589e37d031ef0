import { beforeEach, describe, expect, it } from "vitest";
import { adoptClaim, claimPrefix } from "./claims.ts";
import { type MemoryBucket, createMemoryBucket } from "./memory-bucket.ts";
import { createTestClock } from "./test-clock.ts";

const key = ".baton/claims.json";
let bucket: MemoryBucket;
beforeEach(() => {
  bucket = createMemoryBucket();
});

const claim = (prefix: string, application = "ledger", owner = "baton-1"): Promise<void> =>
  claimPrefix({
    store: bucket.open(),
    prefix,
    owner,
    application,
    deadlineMs: 10_000,
    clock: createTestClock(),
  });
const refusedWith = (code: string): unknown => expect.objectContaining({ code });
const claimed = (): unknown => JSON.parse(bucket.commits.at(-1)?.body ?? "null");

describe("adoptClaim", () => {
  const adopt = (from: string, prefix = "a/") =>
    adoptClaim({
      store: bucket.open(),
      prefix,
      from,
      owner: "baton-2",
      application: "shop",
      deadlineMs: 10_000,
      clock: createTestClock(),
    });
  const ours = { prefix: "a/", owner: "baton-2", application: "shop" };

  it("puts ours in the place of another owner's, beside all others, and once only", async () => {
    await claim("a/");
    await claim("b/", "other", "baton-3");
    await adopt("baton-1");
    const claims = [{ prefix: "b/", owner: "baton-3", application: "other" }, ours];
    expect(claimed()).toEqual({ version: 1, claims });
    const writes = bucket.commits.length;
    await adopt("baton-1");
    expect(bucket.commits).toHaveLength(writes);
  });

  it("makes one where there is none", async () => {
    await adopt("baton-1");
    expect(claimed()).toEqual({ version: 1, claims: [ours] });
  });

  it("refuses a claim that is a third one's, and one that overlaps", async () => {
    await claim("a/", "ledger", "baton-3");
    await expect(adopt("baton-1")).rejects.toEqual(refusedWith("lease-foreign"));
    await expect(adopt("baton-1", "a/b/")).rejects.toEqual(refusedWith("storage-overlap"));
  });

  it("looks again when somebody else changed the claims", async () => {
    await claim("a/");
    bucket.inject({ kind: "unclear", write: "applied" });
    await adopt("baton-1");
    expect(claimed()).toEqual({ version: 1, claims: [ours] });
  });
});

describe("claimPrefix", () => {
  it("keeps the claims of many applications beside each other", async () => {
    await claim("ledger/");
    await claim("shop/", "shop");
    expect(claimed()).toEqual({
      version: 1,
      claims: [
        { prefix: "ledger/", owner: "baton-1", application: "ledger" },
        { prefix: "shop/", owner: "baton-1", application: "shop" },
      ],
    });
  });

  it("writes nothing for the same claim again", async () => {
    await claim("ledger/");
    await claim("ledger/");
    expect(bucket.commits).toHaveLength(1);
  });

  it.each([
    ["a/", "a/b/"],
    ["a/b/", "a/"],
    ["a/", "a/"],
  ])("refuses %s and %s of two applications", async (first, second) => {
    await claim(first);
    await expect(claim(second, "shop")).rejects.toEqual(refusedWith("storage-overlap"));
  });

  it("refuses a prefix within another one of the same application", async () => {
    await claim("a/");
    await expect(claim("a/b/")).rejects.toEqual(refusedWith("storage-overlap"));
  });

  it("refuses the prefix of another owner, and one that overlaps with it", async () => {
    await claim("a/");
    await expect(claim("a/", "ledger", "baton-2")).rejects.toEqual(refusedWith("lease-foreign"));
    await expect(claim("a/b/", "ledger", "baton-2")).rejects.toEqual(refusedWith("storage-overlap"));
  });

  it("refuses the control prefix", async () => {
    await expect(claim(".baton/x/")).rejects.toEqual(refusedWith("invalid-request"));
  });

  it("refuses claims that it cannot read", async () => {
    await bucket.open().put({ key, body: "not JSON", timeoutMs: 1_000 });
    await expect(claim("a/")).rejects.toEqual(refusedWith("lease-mismatch"));
  });

  it.each(["applied", "dropped", "late"] as const)(
    "claims once after an unclear answer (%s)",
    async (write) => {
      bucket.inject({ kind: "unclear", write });
      await claim("ledger/");
      bucket.deliverLate();
      expect(bucket.commits).toHaveLength(1);
    },
  );

  it("lets one of sixteen overlapping claims win, and all of sixteen separate ones", async () => {
    const same = await Promise.allSettled(Array.from({ length: 16 }, (_, n) => claim("a/", `app-${n}`)));
    expect(same.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    await Promise.all(Array.from({ length: 16 }, (_, n) => claim(`b${n}/`, `app-${n}`)));
    expect((claimed() as { claims: unknown[] }).claims).toHaveLength(17);
  });
});
