import { request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { Application } from "./application.ts";

const pollMs = 10;
const tryMs = 1_000;

export type ReadinessResult = "ready" | "exited" | "aborted" | "late";

/** Asks the application's readiness path every 10 ms until it answers 2xx, its direct child exits, `signal` aborts or the time is over. */
export async function waitUntilReady(params: {
  readonly application: Application;
  readonly port: number;
  readonly path: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}): Promise<ReadinessResult> {
  const { application, port, path, signal } = params;
  const deadlineAt = performance.now() + params.timeoutMs;
  for (;;) {
    // A stop aborts before it signals: an exit that is seen together with it is the stop's doing.
    if (signal.aborted) return "aborted";
    if (application.ended !== null) return "exited";
    const leftMs = deadlineAt - performance.now();
    if (leftMs <= 0) return "late";
    const isReady = await askOnce({ port, path, timeoutMs: Math.min(tryMs, leftMs) });
    // Somebody else may answer on the port of a child that could not bind it.
    if (isReady && application.ended === null) return "ready";
    await Promise.race([application.exited, delay(pollMs)]);
  }
}

function askOnce(params: {
  readonly port: number;
  readonly path: string;
  readonly timeoutMs: number;
}): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request(
      {
        host: "127.0.0.1",
        port: params.port,
        path: params.path,
        agent: false,
        headers: { connection: "close" },
      },
      (response) => {
        const status = response.statusCode ?? 0;
        response.destroy();
        resolve(status >= 200 && status < 300);
      },
    );
    call.setTimeout(Math.max(1, params.timeoutMs), () => call.destroy());
    call.once("error", () => resolve(false));
    call.once("close", () => resolve(false));
    call.end();
  });
}
