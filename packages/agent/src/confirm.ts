import { request as requestHttp } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { type Log, reasonOf } from "./log.ts";

/** Tells the orchestrator of receipts until it has them. */
export interface Confirmations {
  /** Begins to send; returns at once. The same key is sent by one loop only. */
  send(key: string, receipt: string): void;
  /** Ends all loops; what is not confirmed stays pending. */
  close(): void;
}

export interface ConfirmTimings {
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  readonly giveUpMs: number;
  readonly tryMs: number;
}

const usualTimings: ConfirmTimings = {
  firstPauseMs: 100,
  longestPauseMs: 5_000,
  giveUpMs: 15 * 60_000,
  tryMs: 5_000,
};

/**
 * Sends `{ receipt }` by POST, the same bytes each time, until a 2xx. A 4xx other than 408 and 429 ends it too: it would be the same for ever.
 * Everything else, silence and redirects included, is tried again with growing, jittered pauses.
 */
export function createConfirmations(deps: {
  readonly url: string;
  readonly log: Log;
  readonly onSettled: (key: string, result: "confirmed" | "refused") => Promise<void>;
  readonly timings?: ConfirmTimings | undefined;
}): Confirmations {
  const { url, log, onSettled, timings = usualTimings } = deps;
  const stop = new AbortController();
  const sending = new Set<string>();

  const deliver = async (key: string, body: string): Promise<void> => {
    const endAt = performance.now() + timings.giveUpMs;
    for (let pauseMs = timings.firstPauseMs; !stop.signal.aborted; pauseMs *= 2) {
      const status = await post(url, body, timings.tryMs, stop.signal).catch((error: unknown) => {
        if (!stop.signal.aborted)
          log("warn", "the receipt was not confirmed", { key, reason: reasonOf(error) });
        return null;
      });
      if (status !== null && status >= 200 && status < 300) return onSettled(key, "confirmed");
      if (status !== null && status >= 400 && status < 500 && status !== 408 && status !== 429) {
        log("error", "the receipt was refused and is not sent again", { key, status });
        return onSettled(key, "refused");
      }
      if (performance.now() > endAt) {
        log("error", "the receipt was not confirmed in time; it is still served here", { key });
        return;
      }
      const pause = Math.min(pauseMs, timings.longestPauseMs) * (0.5 + Math.random() / 2);
      await delay(pause, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  };

  return {
    send(key, receipt) {
      if (sending.has(key)) return;
      sending.add(key);
      deliver(key, JSON.stringify({ receipt }))
        .catch((error: unknown) => log("error", "the confirmation failed", { key, reason: reasonOf(error) }))
        .finally(() => sending.delete(key));
    },
    close: () => stop.abort(),
  };
}

/** Where nobody is to be told. */
export const noConfirmations: Confirmations = { send: () => {}, close: () => {} };

/** The status of the answer. @throws when there was none in time */
async function post(url: string, body: string, timeoutMs: number, signal: AbortSignal): Promise<number> {
  // TLS costs some 5 MB: only where it is used.
  const request = url.startsWith("https:") ? (await import("node:https")).request : requestHttp;
  return new Promise((resolve, reject) => {
    const call = request(url, {
      method: "POST",
      agent: false,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    call.once("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.once("error", reject);
    call.end(body);
  });
}
