import { setTimeout as delay } from "node:timers/promises";
import { AppError, isAppError } from "@baton/protocol";
import pRetry from "p-retry";
import { type Dispatcher, request } from "undici";
import { type RetryLimits, retryOptions } from "./retry-limits.ts";

/** What became of the triggers of one stop so far. */
export interface TriggerProgress {
  triggers: number;
  answered: number | null;
  firstAt: { readonly wall: string; readonly monotonic: number } | null;
  /** Whether the service got a trigger. */
  delivered: "no" | "maybe" | "yes";
}

export interface Triggering {
  readonly url: URL;
  readonly dispatcher: Dispatcher;
  readonly signal: AbortSignal;
  readonly retry: RetryLimits | undefined;
  readonly repeatTriggerMs: number | undefined;
  readonly progress: TriggerProgress;
}

/**
 * Sends `PUT /shutdown` until it is answered, and again after pauses if so wished. Ends only by throwing: it is the confirmation that ends a
 * stop.
 *
 * @throws `agent-unreachable`, `agent-failed`, the signal's reason
 */
export async function keepTriggering(params: Triggering): Promise<never> {
  const { signal, retry = {}, repeatTriggerMs, progress } = params;
  try {
    for (;;) {
      await pRetry(() => trigger(params), {
        ...retryOptions(retry),
        signal,
        shouldRetry: ({ error }) => isAppError(error) && error.code === "agent-unreachable",
      });
      if (repeatTriggerMs === undefined) return await abortOf(signal);
      await delay(repeatTriggerMs, undefined, { signal });
    }
  } catch (error) {
    const { delivered } = progress;
    if (delivered === "no" || (delivered === "maybe" && isFinal(error))) throw error;
    // It may have got one of them, whatever became of the others: then its confirmation is still to come.
    return abortOf(signal);
  }
}

const isFinal = (error: unknown): boolean => isAppError(error) && error.code === "agent-failed";
const passing: ReadonlySet<number> = new Set([408, 409, 425, 429]);
const notConnected: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

async function trigger({ url, dispatcher, signal, progress }: Triggering): Promise<void> {
  progress.triggers += 1;
  progress.firstAt ??= { wall: new Date().toISOString(), monotonic: performance.now() };
  let status: number;
  try {
    const answer = await request(url.href.replace(/\/+$/, "") + "/shutdown", {
      method: "PUT",
      dispatcher,
      signal,
    });
    status = answer.statusCode;
    progress.answered = status;
    // The status says it all; a body that never ends must not keep anybody waiting.
    void answer.body.dump({ limit: 16_384, signal }).catch(() => undefined);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (progress.delivered === "no" && !notConnected.has(code)) progress.delivered = "maybe";
    throw new AppError("agent-unreachable", `cannot stop the service at ${url.host}: no answer`, {
      cause: error,
    });
  }
  if (status >= 200 && status < 300) {
    progress.delivered = "yes";
    return;
  }
  if (progress.delivered === "no") progress.delivered = "maybe";
  const isPassing = status >= 500 || passing.has(status);
  throw new AppError(
    isPassing ? "agent-unreachable" : "agent-failed",
    `cannot stop the service at ${url.host}: PUT /shutdown was answered with ${status}`,
  );
}

/** Rejects with the signal's reason. */
export function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => reject(signal.reason as Error);
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}
