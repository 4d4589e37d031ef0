import { setTimeout as delay } from "node:timers/promises";
import { AppError, isAppError } from "@baton/protocol";

/** The time that is left for one call of the port. */
export interface Deadline {
  /** Aborted when the time is over; its reason is the `AppError` that the caller gets. */
  readonly signal: AbortSignal;
  remainingMs(): number;
  /** Says what is waited for, as it shall stand in "… while <step>"; throws when the time is over. */
  begin(step: string): void;
}

/**
 * Runs one call of the port. Work that hangs is left behind at the deadline, and cannot act any more once it looks at
 * the signal.
 *
 * @param what the call in words, as it shall stand in "cannot <what>: …"
 * @param advice what to do about a failure that nobody foresaw
 * @throws AppError as thrown by `work`; `cluster-unavailable` when the time is over and for everything else thrown
 */
export async function within<T>(
  timeoutMs: number,
  what: string,
  work: (deadline: Deadline) => Promise<T>,
  advice = "check the cluster's directory",
): Promise<T> {
  const deadlineAt = performance.now() + timeoutMs;
  const controller = new AbortController();
  const over = Promise.withResolvers<never>();
  let step = "beginning";
  const timer = setTimeout(() => {
    const detail = `cannot ${what}: no answer within ${timeoutMs} ms while ${step}; try again later`;
    const error = new AppError("cluster-unavailable", detail);
    controller.abort(error);
    over.reject(error);
  }, timeoutMs);
  const deadline: Deadline = {
    signal: controller.signal,
    remainingMs: () => Math.max(0, deadlineAt - performance.now()),
    begin: (next) => {
      controller.signal.throwIfAborted();
      step = next;
    },
  };
  try {
    return await Promise.race([work(deadline), over.promise]);
  } catch (error) {
    if (isAppError(error)) throw error;
    if (controller.signal.aborted) throw controller.signal.reason;
    const detail = `cannot ${what}: failed while ${step} (${reasonOf(error)}); ${advice}`;
    throw new AppError("cluster-unavailable", detail, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again until there is an answer; ends by the signal's reason. */
export async function pollUntil<T>(
  signal: AbortSignal,
  ask: () => Promise<T | undefined>,
  pauseMs = 20,
): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    await delay(pauseMs, undefined, { signal });
  }
}

/** The system's name of an error (`EACCES`), or its first line. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown reason";
  if ("code" in error && typeof error.code === "string") return error.code;
  return error.message.split("\n")[0] ?? error.name;
}

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}
