import { describe, expect, it } from "vitest";
import type { VersionEntry } from "./bucket.port.ts";
import { entriesOf, inventoryOf, versionOf } from "./fixtures/inventory-samples.ts";
import { type InventoryDifference, diffInventories } from "./inventory-difference.ts";
import { renderDifference } from "./inventory-text.ts";

const diff = (
  before: readonly VersionEntry[],
  after: readonly VersionEntry[],
  limit = 10,
): Promise<InventoryDifference> =>
  diffInventories({ before: entriesOf(before), after: entriesOf(after), limit });
const [a, b, c] = ["a", "b", "c"].map((each) => versionOf(`data/${each}`)) as [
  VersionEntry,
  VersionEntry,
  VersionEntry,
];

describe("a difference", () => {
  it("of the same is none, and says so", async () => {
    const same = await diff([a, b], [a, b]);
    expect(same).toMatchObject({ added: 0, removed: 0, changed: 0, first: [] });
    expect(renderDifference(same)).toBe('Nothing differs below "data/": 2 objects, 2 bytes.');
    expect(renderDifference(await diff([], []))).toBe('Nothing differs below "data/": 0 objects, 0 bytes.');
  });

  it("names what was added, removed and changed, with what of it", async () => {
    const before = [a, versionOf("data/b", { versionId: "1" })];
    const after = [versionOf("data/b", { size: 7, etag: '"f"', versionId: "2" }), c];
    const difference = await diff(before, after);
    expect(renderDifference(difference)).toBe(
      [
        '3 objects differ below "data/": 1 added, 1 removed, 1 changed.',
        "Before: 2 objects, 2 bytes; after: 2 objects, 8 bytes.",
        '  - "data/a" 1 byte',
        '  ~ "data/b" size 1 → 7, ETag e → f, version 1 → 2',
        '  + "data/c" 1 byte',
      ].join("\n"),
    );
    expect(JSON.parse(JSON.stringify(difference))).toEqual(difference);
    expect(difference).toMatchObject({
      before: await inventoryOf(before),
      after: await inventoryOf(after),
      first: [{ kind: "removed" }, { kind: "changed", what: ["size", "etag", "version"] }, { kind: "added" }],
    });
  });

  it("lists no more than asked for, and counts all", async () => {
    const difference = await diff([], [a, b, c], 1);
    expect(difference.added).toBe(3);
    expect(renderDifference(difference).split("\n").slice(2)).toEqual([
      '  + "data/a" 1 byte',
      "  … and 2 more",
    ]);
    expect((await diff([], [a], 0)).first).toEqual([]);
    expect(renderDifference(await diff([], [a], 0))).toContain("1 object differs");
  });

  it("shows keys that a terminal would obey as what they are", async () => {
    const key = 'data/\u{1b}[2J"\n\u{202e}gpj\u{9b}';
    const text = renderDifference(await diff([], [versionOf(key)]));
    expect(text.split("\n").at(-1)).toBe(String.raw`  + "data/\u001b[2J\"\n\u202egpj\u009b" 1 byte`);
  });

  it("says when only one of the two knows versions", async () => {
    const difference = await diff([versionOf("data/a", { versionId: "1" })], [a]);
    const { before, after } = difference;
    const later = { ...difference, after: { ...after, listed: "objects" } } as const;
    expect(renderDifference(later)).toContain("Versions were listed only before.");
    expect(renderDifference(later)).toContain('~ "data/a" version 1 → none');
    const earlier = { ...difference, before: { ...before, listed: "objects" } } as const;
    expect(renderDifference(earlier)).toContain("Versions were listed only after.");
  });

  it("of half an inventory is none, and both are closed", async () => {
    let closed = 0;
    const half = async function* (): ReturnType<typeof entriesOf> {
      try {
        yield* entriesOf([a], 1);
        throw new Error("cut");
      } finally {
        closed += 1;
      }
    };
    const whole = async function* (): ReturnType<typeof entriesOf> {
      try {
        return yield* entriesOf([a, b, c], 1);
      } finally {
        closed += 1;
      }
    };
    await expect(diffInventories({ before: half(), after: whole(), limit: 1 })).rejects.toThrow("cut");
    await expect(diffInventories({ before: whole(), after: half(), limit: 1 })).rejects.toThrow("cut");
    expect(closed).toBe(4);
  });

  it("of two prefixes is none", async () => {
    const other = async function* (): ReturnType<typeof entriesOf> {
      return { ...(yield* entriesOf([])), prefix: "date/" };
    };
    await expect(diffInventories({ before: other(), after: entriesOf([]), limit: 1 })).rejects.toMatchObject({
      code: "invalid-request",
    });
  });

  it("that the digests do not confirm is none", async () => {
    const lying = async function* (): ReturnType<typeof entriesOf> {
      yield* entriesOf([a]);
      return inventoryOf([b]);
    };
    await expect(diffInventories({ before: lying(), after: entriesOf([a]), limit: 1 })).rejects.toMatchObject(
      {
        code: "internal",
      },
    );
  });
});
