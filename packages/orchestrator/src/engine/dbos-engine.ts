import { DBOS } from "@dbos-inc/dbos-sdk";
import type { Engine, RecordedError, StepResult } from "@baton/migration";
import { AppError, toAppError } from "@baton/protocol";
import type { Logger } from "pino";
import { StaleTerm } from "../records/stale-term.ts";
import { type Life, endingStale } from "./operation-life.ts";

/** DBOS counts in timers, which have a longest time; each wait is a checkpoint. */
const longestWaitMs = 7 * 86_400_000;
/** How soon an abort ends what is under way. */
const askEveryMs = 500;

/** The durable engine inside a DBOS workflow: each call is one checkpoint. Retries belong to the saga, never to DBOS. */
export function createDbosEngine(log: Logger, life: Pick<Life, "admit">): Engine {
  return {
    async step(name, deadlineMs, work, interruption) {
      const admitted = async () => {
        await life.admit();
        return captured(name, deadlineMs, work, interruption, log);
      };
      return DBOS.runStep(() => endingStale(admitted), { name });
    },
    async receive(_name, topic, timeoutMs) {
      for (;;) {
        const message = await DBOS.recv<unknown>(topic, {
          timeoutSeconds: Math.min(timeoutMs, longestWaitMs) / 1_000,
        });
        if (message !== null || timeoutMs !== Infinity) return message;
      }
    },
    async sleep(_name, ms) {
      await DBOS.sleep(ms);
    },
  };
}

/** A failing step is a value in the journal. A life that is over is none: it ends, and with it what DBOS would record. */
async function captured<T>(
  name: string,
  deadlineMs: number,
  work: (signal: AbortSignal) => Promise<T>,
  interruption: (() => Promise<RecordedError | null>) | undefined,
  log: Logger,
): Promise<StepResult<T>> {
  const ending = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  const end = (why: AppError): void => {
    ending.abort(why);
    reject(why);
  };
  const timer = setTimeout(
    () => end(new AppError("deadline-exceeded", `cannot finish ${name}: ${deadlineMs} ms have passed`)),
    deadlineMs,
  );
  const ask = async (): Promise<void> => {
    const why = (await interruption?.()) ?? null;
    if (why !== null) end(new AppError("aborted", why.detail));
  };
  // Records that do not answer interrupt nothing: commit asks them once more.
  const asking = setInterval(() => void ask().catch(() => undefined), askEveryMs);
  try {
    void ask().catch(() => undefined);
    return { ok: true, value: await Promise.race([work(ending.signal), promise]) };
  } catch (error) {
    if (error instanceof StaleTerm) throw error;
    const { code, message, meta } = toAppError(error);
    log.warn({ step: name, code, meta, err: error }, message);
    return { ok: false, error: { code, detail: message } };
  } finally {
    clearTimeout(timer);
    clearInterval(asking);
  }
}
