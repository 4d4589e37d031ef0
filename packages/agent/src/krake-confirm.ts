import { request as requestHttp } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { judgeKrakeAnswer } from "./krake-answer.ts";
import type { KrakeCredentials } from "./krake-credentials.ts";
import { type Log, reasonOf } from "./log.ts";

/** All in ms. */
export interface KrakeTimings {
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  readonly tryMs: number;
  /** Krake takes a late confirmation for as long as the application is DEGRADED, which only a person ends. */
  readonly giveUpMs: number;
}

export const krakeTimings: KrakeTimings = {
  firstPauseMs: 200,
  longestPauseMs: 10_000,
  tryMs: 5_000,
  giveUpMs: 24 * 3_600_000,
};

export interface KrakeConfirmation {
  readonly credentials: KrakeCredentials;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly timings: KrakeTimings;
  /** An earlier one may have been sent. */
  readonly isRepeat: boolean;
  /** Asked before each try: whether what is confirmed is still so. */
  readonly holds: () => boolean;
}

/**
 * Confirms by `PUT <url>` until Krake takes it or refuses it for good. Everything else is tried again with growing, jittered pauses: silence,
 * resets, 5xx, 408, 409, 425, 429, redirects, and a 200 that took nothing.
 *
 * @returns `open`: it ended without an answer that counts (aborted, given up, or `holds` says no)
 */
export async function confirmToKrake(params: KrakeConfirmation): Promise<"taken" | "refused" | "open"> {
  const { credentials, log, signal, timings, holds } = params;
  const endAt = performance.now() + timings.giveUpMs;
  let lastReason = "";
  for (let tries = 0; !signal.aborted && holds(); tries += 1) {
    const answer = await put(credentials, timings.tryMs, signal).catch((error: unknown) => reasonOf(error));
    if (signal.aborted) break;
    const isRepeat = params.isRepeat || tries > 0;
    const verdict =
      typeof answer === "string" ? "later" : judgeKrakeAnswer(answer.status, answer.state, isRepeat);
    const fields = typeof answer === "string" ? { reason: answer } : { ...answer };
    if (verdict === "taken") {
      log("info", "Krake has the confirmation", fields);
      return "taken";
    }
    if (verdict === "refused") {
      log(
        "error",
        "Krake refuses the confirmation, which is not sent again until its next PUT /shutdown",
        fields,
      );
      return "refused";
    }
    const reason = JSON.stringify(fields);
    // Hours of the same answer are told once.
    if (reason !== lastReason) log("warn", "Krake has not taken the confirmation yet; asking again", fields);
    lastReason = reason;
    if (performance.now() > endAt) {
      log("error", "Krake did not take the confirmation in time; the next PUT /shutdown asks again");
      break;
    }
    const pauseMs = Math.min(timings.firstPauseMs * 2 ** Math.min(tries, 20), timings.longestPauseMs);
    await delay(pauseMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
  }
  return "open";
}

/** An answer is the whole record of the application, tokens and keys included: nothing of it but the state is kept. */
interface Answer {
  readonly status: number;
  readonly state: string | null;
}

/** Records hold manifests; etcd takes no more than this. */
const answerLimitBytes = 2_000_000;

async function put(credentials: KrakeCredentials, timeoutMs: number, signal: AbortSignal): Promise<Answer> {
  const { url, token, tls } = credentials;
  const { protocol, hostname, port } = new URL(url);
  // TLS costs 17 ms and some 5 MB: only where it is used.
  const request = protocol === "https:" ? (await import("node:https")).request : requestHttp;
  const body = JSON.stringify({ token, kind: "Shutdown", api: "kubernetes" });
  return new Promise((resolve, reject) => {
    const call = request({
      method: "PUT",
      protocol,
      hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
      port,
      path: targetOf(url),
      agent: false,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      ...tls,
    });
    call.once("error", reject);
    call.once("response", (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length > answerLimitBytes) call.destroy(new Error("the answer is longer than a record can be"));
        else chunks.push(chunk);
      });
      response.once("error", reject);
      response.once("end", () =>
        resolve({ status: response.statusCode ?? 0, state: stateIn(Buffer.concat(chunks).toString("utf8")) }),
      );
    });
    call.end(body);
  });
}

/** To the letter: a parser would rewrite dots and escapes. A fragment is never sent. */
const targetOf = (url: string): string => {
  const target = url.replace(/^https?:\/\/[^/?#]+/i, "").replace(/#.*$/, "");
  return target.startsWith("/") ? target : `/${target}`;
};

function stateIn(body: string): string | null {
  try {
    const { status } = JSON.parse(body) as { readonly status?: { readonly state?: unknown } };
    return typeof status?.state === "string" && /^[A-Z_]{1,40}$/.test(status.state) ? status.state : null;
  } catch {
    return null;
  }
}
