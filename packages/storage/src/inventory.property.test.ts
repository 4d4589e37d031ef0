import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { entriesOf, inventoryOf, listed } from "./fixtures/inventory-samples.ts";
import { diffInventories } from "./inventory-difference.ts";
import type { InventoryEntry } from "./inventory-entry.ts";

// Few values, so that two of them often meet; keys of one, two, three and four bytes, and such that JSON escapes.
const entry = fc.record({
  key: fc
    .string({ unit: fc.constantFrom("a", "b", "/", '"', "\n", "é", "\u{ffee}", "\u{1f600}"), maxLength: 3 })
    .map((name) => `data/${name}`),
  size: fc.nat(2),
  etag: fc.constantFrom("e", "e-2", "f"),
  version: fc.constantFrom(null, "1", "2"),
});
const content = fc
  .uniqueArray(entry, { selector: ({ key }) => key, maxLength: 12 })
  .map((entries) => new Map(entries.map((each) => [each.key, each])));
type Content = ReadonlyMap<string, InventoryEntry>;

/** Often the one with a little done to it, sometimes two that have nothing to do with each other. */
const two = fc.oneof(
  fc.tuple(content, content),
  content.map((same) => [same, new Map(same)] as const),
  fc.tuple(content, entry).map(([before, one]) => [before, new Map([...before, [one.key, one]])] as const),
);
const pageSize = fc.integer({ min: 1, max: 5 });

const textOf = ({ key, size, etag, version }: InventoryEntry): string =>
  JSON.stringify([key, size, etag, version]);
const setOf = (entries: Content): Set<string> => new Set([...entries.values()].map(textOf));
const isSame = (before: Content, after: Content): boolean => {
  const [left, right] = [setOf(before), setOf(after)];
  return left.size === right.size && [...left].every((each) => right.has(each));
};

describe("two inventories", () => {
  it("have the same digest exactly when they have the same entries", async () => {
    await fc.assert(
      fc.asyncProperty(two, pageSize, pageSize, async ([before, after], ...sizes) => {
        const [was, is] = await Promise.all([
          inventoryOf(listed(before.values()), { pageSize: sizes[0] }),
          inventoryOf(listed(after.values()), { pageSize: sizes[1] }),
        ]);
        expect(was.digest === is.digest).toBe(isSame(before, after));
      }),
    );
  });

  it("differ in exactly what was changed", async () => {
    await fc.assert(
      fc.asyncProperty(two, pageSize, pageSize, async ([before, after], ...sizes) => {
        const difference = await diffInventories({
          before: entriesOf(listed(before.values()), sizes[0]),
          after: entriesOf(listed(after.values()), sizes[1]),
          limit: Infinity,
        });
        const found = difference.first.map((change) => {
          if (change.kind === "added") return `+${textOf(change.after)}`;
          if (change.kind === "removed") return `-${textOf(change.before)}`;
          return `~${textOf(change.before)}${textOf(change.after)}${change.what.join()}`;
        });
        const keys = [...new Set([...before.keys(), ...after.keys()])];
        const expected = keys.flatMap((key) => {
          const [was, is] = [before.get(key), after.get(key)];
          if (was === undefined) return is === undefined ? [] : [`+${textOf(is)}`];
          if (is === undefined) return [`-${textOf(was)}`];
          const what = (["size", "etag", "version"] as const).filter((each) => was[each] !== is[each]);
          return what.length === 0 ? [] : [`~${textOf(was)}${textOf(is)}${what.join()}`];
        });
        expect(found.toSorted()).toEqual(expected.toSorted());
        expect(difference.added + difference.removed + difference.changed).toBe(expected.length);
        expect(expected.length === 0).toBe(isSame(before, after));
      }),
    );
  });
});
