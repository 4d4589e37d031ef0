import fc from "fast-check";
import { expect, it } from "vitest";
import { compareUtf8 } from "./utf8-order.ts";

it.each([
  ["", "a"],
  ["a", "ab"],
  ["a/", "a0"],
  ["\u{ffff}", "\u{10000}"],
  ["\u{e000}x", "\u{1f600}"],
  ["\u{d7ff}", "\u{e000}"],
])("%j comes before %j", (a, b) => {
  expect(compareUtf8(a, b)).toBeLessThan(0);
  expect(compareUtf8(b, a)).toBeGreaterThan(0);
});

it("is the order of the bytes", () => {
  // Where UTF-8 gets another byte, where UTF-16 gets another unit, and around the surrogates.
  const borders = [0, 0x61, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff];
  const text = fc.string({ unit: fc.constantFrom(...borders.map((each) => String.fromCodePoint(each))) });
  fc.assert(
    fc.property(text, text, text, (head, a, b) => {
      const bytes = Buffer.compare(Buffer.from(head + a), Buffer.from(head + b));
      expect(Math.sign(compareUtf8(head + a, head + b))).toBe(bytes);
    }),
  );
});
