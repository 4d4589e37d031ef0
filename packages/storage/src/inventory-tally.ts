import { createHash } from "node:crypto";
import { type Inventory, type InventoryEntry, lineOf } from "./inventory-entry.ts";

export interface Tally {
  /** Takes entries in the order of their keys and gives their lines. */
  add(entries: readonly InventoryEntry[]): string;
  /** Of all that was added; once. */
  total(): Pick<Inventory, "objects" | "bytes" | "digest">;
}

export function createTally(): Tally {
  const hash = createHash("sha256").update("baton-inventory-1\n");
  let objects = 0;
  let bytes = 0;
  return {
    add: (entries) => {
      const lines = entries.map(lineOf).join("");
      hash.update(lines);
      objects += entries.length;
      for (const { size } of entries) bytes += size;
      return lines;
    },
    total: () => ({ objects, bytes, digest: hash.digest("hex") }),
  };
}
