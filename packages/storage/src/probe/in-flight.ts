import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { newNonce } from "@baton/protocol";
import { controlPrefix } from "../prefix.ts";
import type { ProbeDoor } from "./probe-door.ts";
import { putRequest } from "./send-to-url.ts";

/** Small and large: stores that collect blocks in memory time them in another way than what they pass on at once. */
const lengths = [64, 8 * 1_024 * 1_024] as const;
const timeoutMs = 5_000;

const never = { ms: null, ended: "still waiting" } as const;

/** How long a store waits for the rest of a body. */
export interface InFlightBound {
  readonly endpoint: string;
  /** Null: it still waited when the time was up, so there is no bound that a fence could wait for. */
  readonly ms: number | null;
  /** What the store did then, in words. */
  readonly ended: string;
}

/**
 * Begins uploads of a scratch object and falls silent, as a frozen writer would, once after the head and once in the middle of the body; says after how long the
 * store has given both up. Stores check keys when a request begins: until that bound has passed, a write that began before a fence may still be finished.
 * It is none for a writer that goes on sending, however slowly.
 *
 * @throws AppError what `ObjectStore` throws when the store cannot be reached or rejects Baton's key; `TypeError` for a door without a bucket.
 */
export async function measureInFlight(params: {
  readonly door: ProbeDoor;
  readonly limitMs: number;
  readonly ca?: string | undefined;
}): Promise<InFlightBound> {
  const { door, limitMs, ca } = params;
  const { endpoint } = door;
  const store = door.control("quoted");
  const bucket = door.bucket?.("quoted");
  if (bucket === undefined) throw new TypeError("a bound is measured through the bucket");
  const key = `${controlPrefix}probe/${newNonce()}`;
  const url = await bucket.presignPut({ key, validitySeconds: 300 });
  const signal = AbortSignal.timeout(limitMs);
  try {
    // What is rejected at once would look like a short bound.
    const [length] = lengths;
    const whole = putRequest(url, { ca, length, signal: AbortSignal.timeout(timeoutMs) });
    whole.end(Buffer.alloc(length));
    const [response] = (await once(whole, "response")) as [IncomingMessage];
    response.resume();
    if (response.statusCode !== 200)
      return {
        endpoint,
        ms: null,
        ended: `an upload by a presigned URL was answered with ${response.statusCode}`,
      };

    const ends = await Promise.all(
      lengths.flatMap((length) =>
        [0, length / 2].map((sent) => endOfSilence({ url, ca, length, sent, signal })),
      ),
    );
    // The longest; one that never ended is longer than any.
    const longest = ends.reduce(
      (a, b) => (a.ms === null || (b.ms !== null && a.ms > b.ms) ? a : b),
      ends[0] ?? never,
    );
    return { endpoint, ...longest };
  } finally {
    await store.remove({ key, timeoutMs }).catch(() => undefined);
  }
}

/** After how long an upload ends of which so many bytes were sent. */
async function endOfSilence(params: {
  readonly url: string;
  readonly ca: string | undefined;
  readonly length: number;
  readonly sent: number;
  readonly signal: AbortSignal;
}): Promise<Omit<InFlightBound, "endpoint">> {
  const { url, ca, length, sent, signal } = params;
  const request = putRequest(url, { ca, length, signal });
  if (sent === 0) request.flushHeaders();
  else request.write(Buffer.alloc(sent));
  const began = performance.now();
  try {
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.resume();
    return { ms: performance.now() - began, ended: `answered with ${response.statusCode}` };
  } catch (error) {
    if (signal.aborted) return never;
    const code = error instanceof Error && "code" in error ? String(error.code) : "closed";
    return { ms: performance.now() - began, ended: `ended the connection (${code})` };
  } finally {
    request.destroy();
  }
}
