import { describe, expect, it } from "vitest";
import { parseRange } from "./range.ts";

describe("a range", () => {
  it.each([
    ["bytes=0-3", { start: 0, end: 3 }],
    ["bytes=4-", { start: 4, end: 9 }],
    ["bytes=4-99", { start: 4, end: 9 }],
    ["bytes=-3", { start: 7, end: 9 }],
    ["bytes=-99", { start: 0, end: 9 }],
  ])("of ten bytes as %s", (header, range) => {
    expect(parseRange(header, 10)).toEqual(range);
  });

  it.each([undefined, "bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=0-1"])(
    "is the whole for %s",
    (header) => {
      expect(parseRange(header, 10)).toBeNull();
    },
  );

  it.each(["bytes=10-", "bytes=10-12", "bytes=-0"])("is refused where nothing is, as %s", (header) => {
    expect(() => parseRange(header, 10)).toThrow(expect.objectContaining({ code: "InvalidRange" }));
  });
});
