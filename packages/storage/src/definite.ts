import { AppError, type ErrorCode, isAppError } from "@baton/protocol";
import { type Clock, systemClock } from "./clock.ts";

const unsettled: readonly ErrorCode[] = ["storage-unclear", "storage-unreachable"];
const firstPauseMs = 50;
const longestPauseMs = 1_000;

/**
 * Repeats `attempt`, which must be safe to repeat, until it gives an answer other than "again" or an error other than
 * `storage-unclear` and `storage-unreachable`. Tries at least once.
 *
 * @param what stands in "cannot <what>: …"
 * @param attempt gets a function that says how long the next request may take (ms): never past the deadline, and at most a third of the
 *   whole, so that one stalled connection does not use it up.
 * @throws AppError `storage-unclear` when the deadline passes.
 */
export async function untilDefinite<T>(
  params: { readonly deadlineMs: number; readonly clock?: Clock | undefined },
  what: string,
  attempt: (timeoutMs: () => number) => Promise<T | "again">,
): Promise<T> {
  const { deadlineMs, clock = systemClock } = params;
  const end = clock.nowMs() + deadlineMs;
  const leftMs = (): number => Math.max(1, end - clock.nowMs());
  const timeoutMs = (): number => Math.min(leftMs(), Math.max(1_000, deadlineMs / 3));

  let last: AppError | undefined;
  for (let pauseMs = firstPauseMs; ;) {
    try {
      const answer = await attempt(timeoutMs);
      if (answer !== "again") return answer;
      // Somebody else got on, so the store is well: no reason to wait longer.
      pauseMs = firstPauseMs;
    } catch (error) {
      if (!isAppError(error) || !unsettled.includes(error.code)) throw error;
      last = error;
    }
    if (clock.nowMs() + pauseMs >= end) break;
    await clock.sleep(pauseMs);
    pauseMs = Math.min(longestPauseMs, pauseMs * 2);
  }
  throw new AppError(
    "storage-unclear",
    `cannot ${what}: there was no definite answer within ${Math.round(deadlineMs)} ms; ask again once the store answers` +
      (last === undefined ? "" : ` (${last.message})`),
    { cause: last },
  );
}
