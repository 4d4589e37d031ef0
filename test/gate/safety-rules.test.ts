/* docs/safety-rules.md names files and titles of tests: they must be there. */
import { describe, expect, it } from "vitest";
import { readNamedTests } from "./named-tests.ts";

const { rows, named, missing } = await readNamedTests("safety-rules.md");

describe("the list of safety rules", () => {
  it("has all twenty, each with what keeps and shows it, or with what is not there", () => {
    expect(rows.map(([number]) => number)).toEqual(Array.from({ length: 20 }, (_, n) => String(n + 1)));
    for (const [, , keptBy, shownBy, gap] of rows)
      expect((keptBy !== "nothing" && shownBy !== "nothing") || gap?.includes("Not built")).toBe(true);
  });

  it("names files and titles that are there", () => {
    expect(named.length).toBeGreaterThan(80);
    expect(missing).toEqual([]);
  });
});
