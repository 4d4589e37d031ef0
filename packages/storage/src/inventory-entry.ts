import { type AppError, integer, strictObject } from "@baton/protocol";
import * as v from "valibot";
import { compareUtf8 } from "./utf8-order.ts";

/** One object as it is now. */
export interface InventoryEntry {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Without the quotes that some stores give it. */
  readonly etag: string;
  /** Null where objects have no versions, or the store does not list them. */
  readonly version: string | null;
}

const count = v.pipe(integer, v.minValue(0));

export const inventorySchema = strictObject({
  prefix: v.string(),
  objects: count,
  bytes: count,
  /** SHA-256 of the lines of all entries in the order of their keys, hexadecimal: equal if and only if the entries are. */
  digest: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** What the store listed: `objects` knows nothing of versions. */
  listed: v.picklist(["versions", "objects"]),
  /** Older versions and delete markers that were listed too. Not in the digest: lifecycle rules remove them at any time, and nobody reads them. */
  noncurrent: count,
});
export type Inventory = v.InferOutput<typeof inventorySchema>;

/** Reads pages of entries, in the order of their keys, and what is known once all were read. */
export type InventoryPages = AsyncGenerator<
  readonly InventoryEntry[],
  Pick<Inventory, "listed" | "noncurrent">,
  undefined
>;

export const entrySchema = v.strictTuple([v.string(), count, v.string(), v.nullable(v.string())]);

/** The canonical line of an entry, of which the digest is made. */
export const lineOf = ({ key, size, etag, version }: InventoryEntry): string =>
  `${JSON.stringify([key, size, etag, version])}\n`;

/** Takes keys in turn and throws where one is not after the one before: where the order is wrong, something may have been left out. */
export function createOrderCheck(
  failure: (key: string, last: string) => AppError,
): (key: string, mayRepeat: boolean) => void {
  let last: string | undefined;
  return (key, mayRepeat) => {
    if (last !== undefined) {
      const order = compareUtf8(key, last);
      if (order < 0 || (order === 0 && !mayRepeat)) throw failure(key, last);
    }
    last = key;
  };
}
