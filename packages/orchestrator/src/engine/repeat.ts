import type { Logger } from "pino";

/**
 * Repeats without overlapping itself. @returns how to end it: waits for the turn that is under way.
 *
 * @param what the work in words, for the log: "cannot <what>"
 */
export function repeat(
  ms: number,
  what: string,
  work: () => Promise<void>,
  log: Logger,
): () => Promise<void> {
  let turn = Promise.resolve();
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    turn = work()
      .catch((error: unknown) => log.error({ err: error }, `cannot ${what}`))
      .finally(() => {
        busy = false;
      });
  }, ms);
  return async () => {
    clearInterval(timer);
    await turn;
  };
}
