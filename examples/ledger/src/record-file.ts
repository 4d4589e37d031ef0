import { closeSync, openSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** One acknowledgement as the writer saw it. `at` is in epoch milliseconds, `base` the address that answered. */
export type Acknowledgement = { readonly id: string; readonly at: number; readonly base: string };

/** Appends to the writer's own record, JSON lines. Synchronous, so what was counted is what was recorded. */
export function openRecordFile(path: string): {
  readonly append: (acknowledgement: Acknowledgement) => void;
  readonly close: () => void;
} {
  const descriptor = openSync(path, "a", 0o600);
  return {
    append: (acknowledgement) => void writeSync(descriptor, `${JSON.stringify(acknowledgement)}\n`),
    close: () => closeSync(descriptor),
  };
}

/** Reads a record back. Throws an Error naming the line when one is not an acknowledgement. */
export async function readRecordFile(path: string): Promise<readonly Acknowledgement[]> {
  const lines = (await readFile(path, "utf8")).split("\n");
  return lines.filter((line) => line !== "").map((line, index) => parseLine(line, index + 1));
}

function parseLine(line: string, number: number): Acknowledgement {
  const { id, at, base } = JSON.parse(line) as Record<string, unknown>;
  if (typeof id !== "string" || typeof at !== "number" || typeof base !== "string")
    throw new Error(`cannot read the writer's record: line ${number} is not an acknowledgement`);
  return { id, at, base };
}
