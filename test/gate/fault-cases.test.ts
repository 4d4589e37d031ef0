/* docs/fault-cases.md names files and titles of tests: they must be there. */
import { describe, expect, it } from "vitest";
import { readNamedTests } from "./named-tests.ts";

const { rows, named, missing } = await readNamedTests("fault-cases.md");

describe("the list of fault cases", () => {
  it("has all thirty and the five bad inputs, each with a title that shows it, or with what is not built", () => {
    expect(rows.map(([number]) => number)).toEqual([
      ...Array.from({ length: 30 }, (_, n) => String(n + 1)),
      "a",
      "b",
      "c",
      "d",
      "e",
    ]);
    for (const [number, , , shownBy = "", gap = ""] of rows)
      expect([number, shownBy.includes("“") || gap.includes("**Not built:**")]).toEqual([number, true]);
  });

  it("names files and titles that are there", () => {
    expect(named.length).toBeGreaterThan(70);
    expect(missing).toEqual([]);
  });

  it("has a test that bears a case's number in the row of that case", () => {
    const borne = rows.flatMap(([row, , , shownBy = ""]) =>
      [...shownBy.matchAll(/“fault case (\d+):/g)].map(([, number]) => [row, number]),
    );
    expect(borne.length).toBeGreaterThan(15);
    for (const [row, number] of borne) expect(row === number || row === "e").toBe(true);
  });
});
