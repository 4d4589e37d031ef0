import { describe, expect, it } from "vitest";
import { assertPrefix, overlaps } from "./prefix.ts";

describe("a prefix", () => {
  it.each(["ledger/", "a/b/", "Team_1/app-2.x/", "..a/", ".batonx/"])("may be %s", (prefix) => {
    expect(() => assertPrefix(prefix)).not.toThrow();
  });

  it.each([
    "",
    "/",
    "ledger",
    "/ledger/",
    "a//b/",
    "../",
    "a/../.baton/",
    "./.baton/",
    "a b/",
    ".baton/",
    ".baton/x/",
  ])('is refused as "%s"', (prefix) => {
    expect(() => assertPrefix(prefix)).toThrow(expect.objectContaining({ code: "invalid-request" }));
  });

  it("overlaps with itself, with what contains it and with what it contains", () => {
    expect(overlaps("a/", "a/")).toBe(true);
    expect(overlaps("a/", "a/b/")).toBe(true);
    expect(overlaps("a/b/", "a/")).toBe(true);
    expect(overlaps("a/", "ab/")).toBe(false);
  });
});
