import { AppError, isAppError } from "@baton/protocol";
import type { ListingLimit } from "./bucket.port.ts";
import type { Clock } from "./clock.ts";
import { untilDefinite } from "./definite.ts";

/** One page of a listing and where the next one begins; null: this was the last. */
export interface Page<T, From> {
  readonly content: T;
  readonly next: From | null;
}

/**
 * Every page of a listing, in turn; reading one is repeated while the store is unreachable or unclear. Ends without an error only after the
 * page that says that it is the last.
 *
 * @param params.doing stands in "cannot <doing>: …"
 * @throws AppError `deadline-exceeded`; `storage-unclear` when a page is not there in its time; `storage-failed` when the pages go in a
 * circle; what `read` throws. The signal's reason when it is aborted.
 */
export async function* readPages<T, From>(
  params: ListingLimit & {
    readonly doing: string;
    readonly clock: Clock;
    readonly read: (
      from: From | null,
      request: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
    ) => Promise<Page<T, From>>;
  },
): AsyncGenerator<T, void, undefined> {
  const { doing, clock, pageTimeoutMs, deadlineMs, signal, read } = params;
  const end = clock.nowMs() + deadlineMs;
  const isNew = createCircleCheck();

  const readPage = async (from: From | null): Promise<Page<T, From>> => {
    const leftMs = end - clock.nowMs();
    if (leftMs <= 0) throw tooLate(doing, deadlineMs);
    try {
      return await untilDefinite(
        { deadlineMs: Math.min(pageTimeoutMs, leftMs), clock },
        doing,
        (timeoutMs) => {
          signal?.throwIfAborted();
          return read(from, { timeoutMs: timeoutMs(), signal });
        },
      );
    } catch (error) {
      // The end of the whole may have cut this page's time short.
      const isCut = leftMs < pageTimeoutMs && isAppError(error) && error.code === "storage-unclear";
      throw isCut ? tooLate(doing, deadlineMs, error) : error;
    }
  };

  for (let from: From | null = null; ;) {
    const page: Page<T, From> = await readPage(from);
    yield page.content;
    if (page.next === null) return;
    if (!isNew(JSON.stringify(page.next)))
      throw new AppError(
        "storage-failed",
        `cannot ${doing}: the store's pages go in a circle; use a store that lists correctly`,
      );
    from = page.next;
  }
}

/**
 * Whether a place was not remembered: Brent's way, which remembers one place, a new one after 1, 2, 4, 8 … steps. So every circle is found,
 * however long the way to it, without keeping every place.
 */
function createCircleCheck(): (place: string) => boolean {
  let remembered: string | undefined;
  let steps = 0;
  let limit = 1;
  return (place) => {
    if (place === remembered) return false;
    steps += 1;
    if (steps === limit) {
      remembered = place;
      steps = 0;
      limit *= 2;
    }
    return true;
  };
}

const tooLate = (doing: string, deadlineMs: number, cause?: unknown): AppError =>
  new AppError(
    "deadline-exceeded",
    `cannot ${doing}: it was not at its end within ${Math.round(deadlineMs)} ms; give it more time`,
    { cause },
  );
