/**
 * The ledger's only durable format: immutable segment objects of JSON lines. The application writes and reads them,
 * and the checker reads them on its own, so both sides share this one file.
 */
export type Entry = { readonly id: string; readonly position: number; readonly payload: string };

export type Segment = { readonly key: string; readonly entries: readonly Entry[] };

/** The key of a segment, such that keys sort by the first position inside. `unique` keeps two writers' keys apart. */
export function segmentKey(prefix: string, firstPosition: number, unique: string): string {
  return `${segmentsPrefix(prefix)}${String(firstPosition).padStart(12, "0")}-${unique}.json`;
}

export function segmentsPrefix(prefix: string): string {
  return `${prefix}segments/`;
}

/** One entry a line, each line ended by a newline. */
export function encodeSegment(entries: readonly Entry[]): string {
  return entries
    .map(({ id, position, payload }) => `${JSON.stringify({ id, position, payload })}\n`)
    .join("");
}

/** Reads a segment back. Throws an Error naming the key and the line when a line is not an entry. */
export function decodeSegment(key: string, text: string): Segment {
  const lines = text.split("\n");
  // A segment ends with a newline: anything behind the last one is a torn line, not an entry to guess at.
  if (lines.pop() !== "") throw new Error(`cannot read segment ${key}: it does not end with a newline`);
  return { key, entries: lines.map((line, index) => decodeLine(key, line, index + 1)) };
}

function decodeLine(key: string, line: string, number: number): Entry {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new Error(`cannot read segment ${key}: line ${number} is not JSON`, { cause });
  }
  if (!isEntry(value)) throw new Error(`cannot read segment ${key}: line ${number} is not an entry`);
  return { id: value.id, position: value.position, payload: value.payload };
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== "object" || value === null) return false;
  const { id, position, payload } = value as Record<string, unknown>;
  return typeof id === "string" && Number.isSafeInteger(position) && typeof payload === "string";
}
