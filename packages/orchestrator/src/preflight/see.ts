import type { Seen } from "@baton/migration";
import { AppError, toAppError } from "@baton/protocol";

/** Looks, for so long at the most. What cannot be seen by then is told with the reason, never thrown, and never taken for anything. */
export async function see<T>(
  look: (signal: AbortSignal) => Promise<T>,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Seen<T>> {
  const over = new AbortController();
  const late = Promise.withResolvers<never>();
  const end = (reason: unknown): void => {
    over.abort(reason);
    late.reject(reason);
  };
  const abort = (): void => end(signal.reason);
  const timer = setTimeout(
    () => end(new AppError("deadline-exceeded", `there was no answer within ${timeoutMs} ms`)),
    timeoutMs,
  );
  signal.addEventListener("abort", abort);
  try {
    signal.throwIfAborted();
    return { known: true, value: await Promise.race([look(over.signal), late.promise]) };
  } catch (error) {
    return { known: false, why: toAppError(error).message };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    late.promise.catch(() => undefined);
  }
}
