import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { openRecordFile } from "./record-file.ts";

const POLL_MS = 10;
const REQUEST_MS = 1_000;
/** How far behind its pace the writer may catch up; more would be a burst after every outage. */
const CATCH_UP_MS = 100;

export type Writer = {
  readonly acknowledged: () => number;
  /** Epoch milliseconds of the first entry that this base acknowledged, null while there is none. */
  readonly firstAcknowledgedBy: (base: string) => number | null;
  /** Sends no new entries and ends when those under way were acknowledged, or at the stop deadline. */
  readonly stop: () => Promise<void>;
};

type Options = {
  /** The application's base URL now, null if unknown. May reject; that counts as unknown. */
  readonly route: () => Promise<string | null>;
  readonly recordFile: string;
  readonly ratePerSecond?: number | undefined;
  readonly concurrency?: number | undefined;
  readonly stopDeadlineMs?: number | undefined;
};

/**
 * Sends entries with unique ids at a steady pace and keeps its own record of those acknowledged: a 2xx whose body was
 * read to its end. Whatever else happens, it asks for the route again and sends the same id again until acknowledged.
 */
export function startWriter({
  route,
  recordFile,
  ratePerSecond = 400,
  concurrency = 16,
  stopDeadlineMs = 10_000,
}: Options): Writer {
  const record = openRecordFile(recordFile);
  const run = randomUUID().slice(0, 8);
  const firstBy = new Map<string, number>();
  const pools = new Map<string, Pool>();
  const stopRequested = new AbortController();
  const givenUp = new AbortController();
  let acknowledged = 0;
  let sent = 0;
  let nextSlot = performance.now();
  let base: string | null = null;
  let asking: Promise<void> | null = null;

  /** All senders share one question to the route, so an outage does not become a storm of them. */
  function askRoute(): Promise<void> {
    const limit = new AbortController();
    asking ??= Promise.race([route(), delay(REQUEST_MS, null, { signal: limit.signal })])
      .catch(() => null)
      .then((answer) => {
        limit.abort();
        base = answer === null || !URL.canParse(answer) ? null : trimSlash(answer);
        asking = null;
      });
    return asking;
  }

  async function send(target: string, id: string): Promise<boolean> {
    let pool = pools.get(target);
    if (pool === undefined) {
      pool = new Pool(new URL(target).origin, { connections: concurrency, connect: { timeout: REQUEST_MS } });
      pools.set(target, pool);
    }
    try {
      const { statusCode, body } = await pool.request({
        method: "POST",
        path: `${trimSlash(new URL(target).pathname)}/entries`,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ id, payload: `payload of ${id}` }),
        signal: AbortSignal.any([givenUp.signal, AbortSignal.timeout(REQUEST_MS)]),
      });
      await body.text();
      return statusCode >= 200 && statusCode < 300;
    } catch {
      return false;
    }
  }

  async function sendUntilAcknowledged(id: string): Promise<void> {
    while (!givenUp.signal.aborted) {
      const target = base;
      if (target !== null && (await send(target, id))) {
        const at = Date.now();
        record.append({ id, at, base: target });
        acknowledged += 1;
        if (!firstBy.has(target)) firstBy.set(target, at);
        return;
      }
      // Another sender may have found the new route while this one waited for the old.
      if (target === base) {
        await askRoute();
        if (base === target) await pause(POLL_MS, givenUp.signal);
      }
    }
  }

  async function runSender(): Promise<void> {
    while (!stopRequested.signal.aborted) {
      const slot = Math.max(nextSlot, performance.now() - CATCH_UP_MS);
      nextSlot = slot + 1_000 / ratePerSecond;
      const waitMs = slot - performance.now();
      if (waitMs > 0) await pause(waitMs, stopRequested.signal);
      if (stopRequested.signal.aborted) return;
      sent += 1;
      await sendUntilAcknowledged(`${run}-${sent}`);
    }
  }

  async function stopSenders(): Promise<void> {
    stopRequested.abort();
    const giveUp = setTimeout(() => givenUp.abort(), stopDeadlineMs);
    await senders;
    clearTimeout(giveUp);
    await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    record.close();
  }

  const senders = Promise.all(Array.from({ length: concurrency }, runSender));
  let stopped: Promise<void> | null = null;

  return {
    acknowledged: () => acknowledged,
    firstAcknowledgedBy: (address) => firstBy.get(trimSlash(address)) ?? null,
    stop: () => (stopped ??= stopSenders()),
  };
}

/** Waits, or until the signal: being woken early is no error here. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

function trimSlash(address: string): string {
  return address.replace(/\/+$/, "");
}
