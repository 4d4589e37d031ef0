import type { Entry, Segment } from "../segment.ts";

export type Ledger = {
  /** Adds an entry at the next position. The same id again returns the entry that is there, with `added: false`. */
  readonly add: (id: string, payload: string) => { readonly entry: Entry; readonly added: boolean };
  readonly get: (id: string) => Entry | undefined;
  readonly size: () => number;
};

/** The state in memory, rebuilt from the segments of the bucket. */
export function createLedger(segments: readonly Segment[]): Ledger {
  const entries = new Map<string, Entry>();
  let lastPosition = 0;
  for (const segment of segments) {
    for (const entry of segment.entries) {
      if (!entries.has(entry.id)) entries.set(entry.id, entry);
      lastPosition = Math.max(lastPosition, entry.position);
    }
  }

  return {
    add(id, payload) {
      const present = entries.get(id);
      if (present !== undefined) return { entry: present, added: false };
      lastPosition += 1;
      const entry = { id, position: lastPosition, payload };
      entries.set(id, entry);
      return { entry, added: true };
    },
    get: (id) => entries.get(id),
    size: () => entries.size,
  };
}
