import { readFile } from "node:fs/promises";
import { join } from "node:path";

const docs = join(import.meta.dirname, "../../docs");

interface Named {
  readonly path: string;
  readonly titles: readonly string[];
}

export interface NamedTests {
  /** The cells of each row that begins with a number or a letter, and that first cell. */
  readonly rows: readonly (readonly string[])[];
  readonly named: readonly Named[];
  /** What is named and is not there. */
  readonly missing: readonly string[];
}

/** The tables of a file of docs/, and every file of ours that it links to, with the titles quoted after it. */
export async function readNamedTests(name: string): Promise<NamedTests> {
  const text = await readFile(join(docs, name), "utf8");
  const rows = text
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .filter(([, first = ""]) => /^(\d+|[a-z])$/.test(first))
    .map(([, ...cells]) => cells);
  const named = [...text.matchAll(/\]\(([^)]+\.ts)\)((?:,? “[^”]+”)*)/g)].map(
    ([, path = "", titles = ""]) => ({
      path,
      titles: [...titles.matchAll(/“([^”]+)”/g)].map(([, title = ""]) => title),
    }),
  );
  const missing = await Promise.all(
    named.map(async ({ path, titles }) => {
      const content = await readFile(join(docs, path), "utf8").catch(() => null);
      if (content === null) return [path];
      return titles.filter((title) => !content.includes(title)).map((title) => `${path}: ${title}`);
    }),
  );
  return { rows, named, missing: missing.flat() };
}
