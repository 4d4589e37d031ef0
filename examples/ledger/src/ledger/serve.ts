import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { Server } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { createAdaptorServer } from "@hono/node-server";
import { encodeSegment, segmentKey } from "../segment.ts";
import { createApp } from "./app.ts";
import { openBucket } from "./bucket.ts";
import type { Config } from "./config.ts";
import { createLedger } from "./ledger.ts";
import type { WriteBehind } from "./write-behind.ts";
import { createWriteBehind } from "./write-behind.ts";

const STOP_MS = 5_000;
const SLOW_CLIENT_MS = 1_000;
const RETRY_MS = 100;

export type Service = {
  readonly port: number;
  readonly unflushed: () => number;
  /** Refuses new requests, answers the running ones, then writes everything. Rejects if entries stay unflushed. */
  readonly stop: () => Promise<void>;
};

/** Rebuilds the state from the bucket, then listens. Rejects with an Error fit to be shown. */
export async function startService(
  config: Config,
  log: (event: string, facts: object) => void,
): Promise<Service> {
  const startedAt = new Date();
  const bucket = openBucket(config);
  const segments = await bucket.readSegments().catch((cause: unknown) => {
    const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : "unknown";
    throw new Error(`cannot rebuild the ledger from bucket ${config.bucket}: ${why}`, { cause });
  });

  const ledger = createLedger(segments);
  const writeBehind = createWriteBehind({
    putSegment: bucket.putSegment,
    sealSegment: (entries) => ({
      key: segmentKey(config.prefix, entries[0]?.position ?? 0, randomUUID()),
      body: encodeSegment(entries),
    }),
    now: () => performance.now(),
    dirtyExpireMs: config.dirtyExpireMs,
  });

  let stopping = false;
  const isStopping = (): boolean => stopping;
  const { acknowledge } = config;
  const { tryCanary } = bucket;
  const app = createApp({ ledger, writeBehind, tryCanary, acknowledge, isStopping, startedAt });
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  const port = await listen(server, config);
  const flusher = setInterval(() => {
    writeBehind.flushExpired().catch((error: unknown) => log("flush-failed", { why: String(error) }));
  }, config.flushIntervalMs);

  return {
    port,
    unflushed: writeBehind.unflushed,
    async stop() {
      const deadline = AbortSignal.timeout(STOP_MS);
      stopping = true;
      clearInterval(flusher);
      await closeServer(server);
      // Only now can no request add another entry.
      await flushUntil(writeBehind, deadline);
    },
  };
}

async function listen(server: Server, { host, port }: Config): Promise<number> {
  server.listen(port, host);
  await once(server, "listening").catch((cause: Error) => {
    throw new Error(`cannot listen on ${host}:${port}: ${cause.message}`, { cause });
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

/** Ends when every request was answered; a client that keeps its request open is cut off after a second. */
async function closeServer(server: Server): Promise<void> {
  const cutOff = setTimeout(() => server.closeAllConnections(), SLOW_CLIENT_MS);
  await new Promise((resolve) => server.close(resolve));
  clearTimeout(cutOff);
}

async function flushUntil(writeBehind: WriteBehind, deadline: AbortSignal): Promise<void> {
  const expired = once(deadline, "abort").then(() => Promise.reject(new Error("the deadline passed")));
  expired.catch(() => undefined);
  let why: unknown = "the deadline passed";
  while (!deadline.aborted) {
    try {
      return await Promise.race([writeBehind.flushAll(), expired]);
    } catch (error) {
      if (!deadline.aborted) why = error;
    }
    await delay(RETRY_MS);
  }
  throw new Error(
    `cannot write ${writeBehind.unflushed()} acknowledged entries within ${STOP_MS} ms: ${String(why)}`,
  );
}
