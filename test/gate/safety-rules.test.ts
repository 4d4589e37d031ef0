/* docs/safety-rules.md names files and titles of tests: they must be there. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const docs = join(import.meta.dirname, "../../docs");
const text = await readFile(join(docs, "safety-rules.md"), "utf8");
const rows = text
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .filter(([, number = ""]) => /^\d+$/.test(number));
/** Each link with the titles that are quoted after it. */
const named = [...text.matchAll(/\]\(([^)]+\.ts)\)((?:,? “[^”]+”)*)/g)].map(([, path = "", titles = ""]) => ({
  path,
  titles: [...titles.matchAll(/“([^”]+)”/g)].map(([, title = ""]) => title),
}));

describe("the list of safety rules", () => {
  it("has all twenty, each with what keeps and shows it, or with what is not there", () => {
    expect(rows.map(([, number]) => number)).toEqual(Array.from({ length: 20 }, (_, n) => String(n + 1)));
    for (const [, , , keptBy, shownBy, gap] of rows)
      expect((keptBy !== "nothing" && shownBy !== "nothing") || gap?.includes("Not built")).toBe(true);
  });

  it("names files and titles that are there", async () => {
    expect(named.length).toBeGreaterThan(80);
    const missing = await Promise.all(
      named.map(async ({ path, titles }) => {
        const content = await readFile(join(docs, path), "utf8").catch(() => null);
        if (content === null) return [path];
        return titles.filter((title) => !content.includes(title)).map((title) => `${path}: ${title}`);
      }),
    );
    expect(missing.flat()).toEqual([]);
  });
});
