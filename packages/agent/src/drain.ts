import { setTimeout as delay } from "node:timers/promises";
import type { Hook } from "@baton/protocol";
import type { Application } from "./application.ts";
import { countConnections } from "./connections.ts";
import type { Deadline } from "./deadline.ts";
import { reasonOf } from "./log.ts";

/** A look at the table of sockets may take 20 ms. */
const pollMs = 250;

/**
 * Waits until at most `maxConnections` clients were connected for `quietMs`. Readiness is off already. A count that fails is no zero: it starts the
 * quiet time again. Ends early when the application does.
 */
export async function drain(params: {
  readonly application: Application;
  readonly drain: NonNullable<Hook["drain"]>;
  readonly timeoutMs: number;
  readonly deadline: Deadline;
}): Promise<{ readonly result: "done" | "late"; readonly ms: number; readonly detail: string | null }> {
  const { application, drain: wanted, timeoutMs, deadline } = params;
  const startedAt = performance.now();
  const endAt = (): number => Math.min(startedAt + timeoutMs, deadline.at);
  const pause = async (ms: number): Promise<void> => {
    const leftMs = Math.min(ms, endAt() - performance.now());
    if (leftMs <= 0) return;
    await Promise.race([
      application.exited,
      delay(leftMs, undefined, { signal: deadline.moved }).catch(() => undefined),
    ]);
  };

  while (performance.now() < Math.min(startedAt + wanted.delayMs, endAt()) && application.ended === null)
    await pause(startedAt + wanted.delayMs - performance.now());

  let quietSince: number | null = null;
  let last = "never counted";
  for (;;) {
    if (application.ended !== null)
      return { result: "done", ms: performance.now() - startedAt, detail: null };
    const count = await countConnections(application).catch((error: unknown) => {
      last = reasonOf(error);
      return null;
    });
    const now = performance.now();
    if (count !== null) last = `${count} connected`;
    quietSince = count !== null && count <= wanted.maxConnections ? (quietSince ?? now) : null;
    if (quietSince !== null && now - quietSince >= wanted.quietMs)
      // A delay that was cut short may not have been long enough for the load balancers.
      return {
        result: now - startedAt < wanted.delayMs ? "late" : "done",
        ms: now - startedAt,
        detail: last,
      };
    if (now >= endAt()) return { result: "late", ms: now - startedAt, detail: last };
    await pause(pollMs);
  }
}
