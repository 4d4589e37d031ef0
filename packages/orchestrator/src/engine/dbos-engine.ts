import { DBOS } from "@dbos-inc/dbos-sdk";
import type { Engine, StepResult } from "@baton/migration";
import { AppError, toAppError } from "@baton/protocol";
import type { Logger } from "pino";

/** The durable engine inside a DBOS workflow: each call is one checkpoint. Retries belong to the saga, never to DBOS. */
export function createDbosEngine(log: Logger): Engine {
  return {
    async step(name, deadlineMs, work) {
      return DBOS.runStep(() => captured(name, deadlineMs, work, log), { name });
    },
    async receive(_name, topic, timeoutMs) {
      return DBOS.recv(topic, { timeoutSeconds: timeoutMs / 1_000 });
    },
    async sleep(_name, ms) {
      await DBOS.sleep(ms);
    },
  };
}

/** A failing step is a value in the journal: DBOS's own errors (cancelled, taken over) never pass through here. */
async function captured<T>(
  name: string,
  deadlineMs: number,
  work: (signal: AbortSignal) => Promise<T>,
  log: Logger,
): Promise<StepResult<T>> {
  const deadline = new AbortController();
  const late = new AppError("deadline-exceeded", `cannot finish ${name}: ${deadlineMs} ms have passed`);
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    deadline.abort(late);
    reject(late);
  }, deadlineMs);
  try {
    return { ok: true, value: await Promise.race([work(deadline.signal), promise]) };
  } catch (error) {
    const { code, message, meta } = toAppError(error);
    log.warn({ step: name, code, meta, err: error }, message);
    return { ok: false, error: { code, detail: message } };
  } finally {
    clearTimeout(timer);
  }
}
