import type { Entry } from "../segment.ts";

export type WriteBehind = {
  readonly push: (entry: Entry) => void;
  /** Writes entries older than the expiry; the youngest stay for the next batch. Rejects when a write failed. */
  readonly flushExpired: () => Promise<void>;
  /** Writes every entry pushed before the call. Rejects when a write failed. */
  readonly flushAll: () => Promise<void>;
  readonly unflushed: () => number;
  readonly flushes: () => number;
};

type Ports = {
  /** Makes the segment durable. Called again with the very same arguments after it failed, so it must be idempotent. */
  readonly putSegment: (segment: PendingSegment) => Promise<void>;
  readonly sealSegment: (entries: readonly Entry[]) => Omit<PendingSegment, "count">;
  /** Monotonic, in milliseconds. */
  readonly now: () => number;
  readonly dirtyExpireMs: number;
};

type PendingSegment = { readonly key: string; readonly body: string; readonly count: number };

/**
 * Holds acknowledged entries until they are durable, like the page cache with its dirty_expire_centisecs. An entry
 * leaves only after its segment was stored; a failed segment keeps its key and bytes, so that an attempt whose answer
 * was lost is repeated and not doubled.
 */
export function createWriteBehind({ putSegment, sealSegment, now, dirtyExpireMs }: Ports): WriteBehind {
  const buffer: { readonly entry: Entry; readonly pushedAt: number }[] = [];
  let pending: PendingSegment | null = null;
  let flushes = 0;
  let tail: Promise<void> = Promise.resolve();

  function sealUntil(cutoff: number): PendingSegment | null {
    const firstYoung = buffer.findIndex(({ pushedAt }) => pushedAt > cutoff);
    const due = firstYoung === -1 ? buffer : buffer.slice(0, firstYoung);
    if (due.length === 0) return null;
    return { ...sealSegment(due.map(({ entry }) => entry)), count: due.length };
  }

  async function writeUntil(cutoff: number): Promise<void> {
    while ((pending ??= sealUntil(cutoff)) !== null) {
      await putSegment(pending);
      buffer.splice(0, pending.count);
      pending = null;
      flushes += 1;
    }
  }

  /** One flush at a time: a second one would seal the same entries again under another key. */
  function flush(cutoff: () => number): Promise<void> {
    const mine = tail.then(() => writeUntil(cutoff()));
    tail = mine.catch(() => undefined);
    return mine;
  }

  return {
    push: (entry) => void buffer.push({ entry, pushedAt: now() }),
    flushExpired: () => flush(() => now() - dirtyExpireMs),
    // Whatever came while it waited for its turn goes with it, so that many who wait share one write.
    flushAll: () => flush(now),
    unflushed: () => buffer.length,
    flushes: () => flushes,
  };
}
