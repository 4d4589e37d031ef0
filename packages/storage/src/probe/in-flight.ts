import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import { newNonce } from "@baton/protocol";
import { controlPrefix } from "../prefix.ts";
import type { ProbeDoor } from "./probe-door.ts";
import { putRequest } from "./send-to-url.ts";

const body = Buffer.alloc(64, "half");
const timeoutMs = 5_000;

/** How long a store waits for the rest of a body. */
export interface InFlightBound {
  readonly endpoint: string;
  /** Null: it still waited when the time was up, so there is no bound that a fence could wait for. */
  readonly ms: number | null;
  /** What the store did then, in words. */
  readonly ended: string;
}

/**
 * Begins an upload of a scratch object, sends half of it and falls silent, as a frozen writer would; says after how long the store gives it up. Stores check keys
 * when a request begins: until that bound has passed, a write that began before a fence may still be finished.
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
    const whole = putRequest(url, { ca, length: body.byteLength, signal: AbortSignal.timeout(timeoutMs) });
    whole.end(body);
    const [response] = (await once(whole, "response")) as [IncomingMessage];
    response.resume();
    if (response.statusCode !== 200)
      return {
        endpoint,
        ms: null,
        ended: `an upload by a presigned URL was answered with ${response.statusCode}`,
      };

    const half = putRequest(url, { ca, length: body.byteLength, signal });
    half.write(body.subarray(0, body.byteLength / 2));
    const began = performance.now();
    const ended = await endOf(half, signal);
    half.destroy();
    return {
      endpoint,
      ms: ended === null ? null : performance.now() - began,
      ended: ended ?? "still waiting",
    };
  } finally {
    await store.remove({ key, timeoutMs }).catch(() => undefined);
  }
}

/** An answer or the end of the connection; null when neither came in time. */
async function endOf(request: ClientRequest, signal: AbortSignal): Promise<string | null> {
  try {
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.resume();
    return `answered with ${response.statusCode}`;
  } catch (error) {
    if (signal.aborted) return null;
    return `ended the connection (${error instanceof Error && "code" in error ? String(error.code) : "closed"})`;
  }
}
