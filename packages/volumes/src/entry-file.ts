import { createReadStream, createWriteStream } from "node:fs";
import { rename } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AppError } from "@baton/protocol";
import * as v from "valibot";
import { parseJson } from "./restic-output.ts";
import { type TreeEntry, treeEntrySchema } from "./tree-entry.ts";

export interface TreeSummary {
  readonly entries: number;
  readonly bytes: number;
}

/** Writes a tree's entries, a line each. It is there whole or not at all. */
export async function writeEntries(file: string, entries: AsyncIterable<TreeEntry>): Promise<TreeSummary> {
  let [count, bytes] = [0, 0];
  async function* lines() {
    for await (const entry of entries) {
      count += 1;
      bytes += entry.size;
      yield `${JSON.stringify(entry)}\n`;
    }
    yield `${JSON.stringify({ entries: count, bytes })}\n`;
  }
  await pipeline(Readable.from(lines()), createWriteStream(`${file}.part`, { mode: 0o600, flush: true }));
  await rename(`${file}.part`, file);
  return { entries: count, bytes };
}

/** @throws AppError `copier-failed` for a file that is not whole */
export async function* readEntries(file: string): AsyncGenerator<TreeEntry, void> {
  let count = 0;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const value = parseJson(line);
    if (v.is(v.object({ entries: v.literal(count) }), value)) return;
    if (!v.is(treeEntrySchema, value)) break;
    count += 1;
    yield value;
  }
  throw new AppError("copier-failed", `cannot read the list of files ${file}: it is damaged; make it anew`);
}
