import { AppError, type ErrorCode, isAppError } from "@baton/protocol";
import type { BucketPort } from "./bucket.port.ts";
import { type Clock, systemClock } from "./clock.ts";
import { diffInventories } from "./inventory-difference.ts";
import type { Inventory } from "./inventory-entry.ts";
import { renderDifference } from "./inventory-text.ts";
import { listInventory } from "./inventory.ts";

/** One way to a bucket, as far as it is listed. */
export interface ListedEndpoint {
  readonly endpoint: string;
  readonly bucket: Pick<BucketPort, "listVersions">;
}

export interface EqualInventory {
  /** Of both. */
  readonly inventory: Inventory;
  /** How often both were listed until they were equal. */
  readonly looks: number;
  readonly waitedMs: number;
}

const passing: readonly ErrorCode[] = ["storage-unclear", "storage-unreachable", "deadline-exceeded"];
const firstPauseMs = 100;
const longestPauseMs = 2_000;
/** As many keys as a sentence bears. */
const shown = 3;

/**
 * Lists a prefix at two endpoints again and again until both show the same objects. To be asked only while nobody writes there: then the one that was
 * written to has everything, and the other has caught up once they are equal.
 *
 * @throws AppError `storage-stale` with the difference when the time is up; what a listing throws where asking again does not help. The signal's reason.
 */
export async function waitForEqualInventory(params: {
  readonly written: ListedEndpoint;
  readonly replica: ListedEndpoint;
  readonly prefix: string;
  readonly pageTimeoutMs: number;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
}): Promise<EqualInventory> {
  const { written, replica, prefix, pageTimeoutMs, deadlineMs, signal, clock = systemClock } = params;
  const began = clock.nowMs();
  const end = began + deadlineMs;
  const list = ({ bucket }: ListedEndpoint) =>
    listInventory({
      bucket,
      prefix,
      pageTimeoutMs,
      deadlineMs: Math.max(1, end - clock.nowMs()),
      signal,
    });
  let seen: string | null = null;
  for (let looks = 1, pauseMs = firstPauseMs; ; looks += 1) {
    signal?.throwIfAborted();
    try {
      const difference = await diffInventories({
        before: list(written),
        after: list(replica),
        limit: shown,
      });
      if (difference.added + difference.removed + difference.changed === 0)
        return { inventory: difference.after, looks, waitedMs: clock.nowMs() - began };
      seen = renderDifference(difference).replaceAll(/\s*\n\s*/g, " ");
    } catch (error) {
      if (!isAppError(error) || !passing.includes(error.code)) throw error;
      // A listing that was cut by the deadline says less than the difference before it.
      if (seen === null || error.code !== "deadline-exceeded") seen = error.message;
    }
    if (clock.nowMs() + pauseMs >= end)
      throw new AppError(
        "storage-stale",
        `cannot say that ${replica.endpoint} has everything that ${written.endpoint} took: not after ${deadlineMs} ms (${seen}); see how far its replication is, and ask again`,
      );
    await clock.sleep(pauseMs);
    pauseMs = Math.min(longestPauseMs, pauseMs * 2);
  }
}
