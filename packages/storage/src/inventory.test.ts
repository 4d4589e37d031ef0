import { describe, expect, it } from "vitest";
import type { VersionEntry, VersionPage } from "./bucket.port.ts";
import { bucketOf, inventoryOf, versionOf } from "./fixtures/inventory-samples.ts";
import { takeInventory } from "./inventory.ts";

const limit = { pageTimeoutMs: 1_000, deadlineMs: 1_000, prefix: "data/" };
const take = (pages: readonly (readonly VersionEntry[])[], kind?: VersionPage["kind"]) =>
  takeInventory({ ...limit, bucket: bucketOf(pages, kind) });

describe("an inventory", () => {
  it("counts what is there", async () => {
    const pages = [[versionOf("data/a", { size: 2 })], [], [versionOf("data/b", { size: 40 })]];
    expect(await take(pages)).toEqual({
      prefix: "data/",
      objects: 2,
      bytes: 42,
      digest: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
      listed: "versions",
      noncurrent: 0,
    });
  });

  it("of nothing is one too, and not that of an object without bytes", async () => {
    const nothing = await take([]);
    expect(nothing).toMatchObject({ objects: 0, bytes: 0 });
    const empty = await take([[versionOf("data/", { size: 0, etag: "" })]]);
    expect(empty).toMatchObject({ objects: 1, bytes: 0 });
    expect(empty.digest).not.toBe(nothing.digest);
  });

  it("is the same for every size of pages and with or without quotes around ETags", async () => {
    const entries = ["a", "b", "c", "d", "e"].map((each) =>
      versionOf(`data/${each}`, { etag: `"${each}-2"` }),
    );
    const bare = entries.map((entry) => ({ ...entry, etag: entry.etag.replaceAll('"', "") }));
    const digests = await Promise.all(
      [1, 2, 3, 5, 9].flatMap((pageSize) => [
        inventoryOf(entries, { pageSize }),
        inventoryOf(bare, { pageSize }),
      ]),
    );
    expect(new Set(digests.map(({ digest }) => digest)).size).toBe(1);
  });

  it("has what is current, and counts older versions and delete markers apart", async () => {
    const a = versionOf("data/a", { versionId: "2" });
    const c = versionOf("data/c", { versionId: "1" });
    const older = { isLatest: false };
    const full = await take([
      [a, versionOf("data/a", { ...older, versionId: "1", size: 9 })],
      [
        versionOf("data/a", { ...older, versionId: "0", deleteMarker: true }),
        versionOf("data/b", { deleteMarker: true }),
        versionOf("data/b", older),
        c,
      ],
    ]);
    expect(full).toMatchObject({ objects: 2, bytes: 2, noncurrent: 4 });
    expect(full.digest).toBe((await take([[a, c]])).digest);
  });

  it("leaves Baton's scratch keys out, and nothing that looks like them", async () => {
    const kept = ["data/.batons", "data/x/.baton-probe-1"].map((key) => versionOf(key));
    const scratch = [versionOf("data/.baton-probe-1"), versionOf("data/.baton-x/y")];
    const all = await take([[...scratch, ...kept]]);
    expect(all.objects).toBe(2);
    expect(all.digest).toBe((await take([kept])).digest);
  });

  it("says when the store listed no versions", async () => {
    expect(await take([[versionOf("data/a")]], "objects")).toMatchObject({ listed: "objects" });
  });

  it.each([
    ["out of order", ["data/b", "data/a"], " after "],
    ["in the order of UTF-16", ["data/\u{1f600}", "data/\u{ffee}"], " after "],
    ["twice", ["data/a", "data/a"], " after "],
    ["of another prefix", ["data/a", "dates"], 'listed "dates"'],
  ])("of keys that are listed %s is none", async (_, keys, words) => {
    const entries = keys.map((key) => versionOf(key));
    for (const pages of [[entries], entries.map((entry) => [entry])])
      await expect(take(pages)).rejects.toMatchObject({
        code: "storage-failed",
        message: expect.stringContaining(words) as unknown,
      });
  });

  it("of older versions that are listed out of order is none", async () => {
    const pages = [[versionOf("data/b", { isLatest: false }), versionOf("data/a")]];
    await expect(take(pages)).rejects.toMatchObject({ code: "storage-failed" });
  });

  it("of a listing that breaks off is none", async () => {
    const listVersions = async function* (): AsyncGenerator<VersionPage> {
      yield await Promise.resolve({ kind: "versions", entries: [versionOf("data/a")] });
      throw new Error("broken off");
    };
    await expect(takeInventory({ ...limit, bucket: { listVersions } })).rejects.toThrow("broken off");
  });

  it.each(["", "data", ".baton/"])("of the prefix %j is none", async (prefix) => {
    await expect(takeInventory({ ...limit, prefix, bucket: bucketOf([]) })).rejects.toMatchObject({
      code: "invalid-request",
    });
  });
});
