import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { listObjects, type ListItem } from "./list-objects.ts";

const whole = { prefix: "", delimiter: "", maxKeys: 1000, startAfter: "", token: undefined };

function allPages(params: Omit<Parameters<typeof listObjects>[0], "token">): ReadonlyArray<ListItem> {
  const items: ListItem[] = [];
  let token: string | undefined;
  do {
    const page = listObjects({ ...params, token });
    items.push(...page.items);
    token = page.nextToken;
  } while (token !== undefined);
  return items;
}

describe("listObjects", () => {
  it("gives the same in pages of any size as in one", () => {
    const name = fc.string({
      unit: fc.constantFrom("a", "b", "/", "\u{1f600}", "\uffff"),
      minLength: 1,
      maxLength: 5,
    });
    const page = fc.record({
      keys: fc.uniqueArray(name, { maxLength: 20 }),
      prefix: fc.constantFrom("", "a", "a/", "/"),
      delimiter: fc.constantFrom("", "/", "b/"),
      maxKeys: fc.integer({ min: 1, max: 5 }),
      startAfter: fc.constantFrom("", "a/", "a/b", "b"),
    });
    fc.assert(
      fc.property(page, (params) => {
        expect(allPages(params)).toEqual(listObjects({ ...params, maxKeys: 1000, token: undefined }).items);
      }),
    );
  });

  it("orders by UTF-8 bytes", () => {
    const name = fc.string({
      unit: fc.constantFrom("a", "\u{1f600}", "\uffff", "\ud7ff", "\ue000"),
      minLength: 1,
    });
    fc.assert(
      fc.property(fc.uniqueArray(name), (keys) => {
        const expected = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(listObjects({ ...whole, keys }).items.map((item) => item.name)).toEqual(expected);
      }),
    );
  });

  it("has an empty, last page when no keys are asked for", () => {
    expect(listObjects({ ...whole, keys: ["a"], maxKeys: 0 })).toEqual({ items: [], nextToken: undefined });
  });
});
