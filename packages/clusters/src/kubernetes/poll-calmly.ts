import { setTimeout as delay } from "node:timers/promises";

const pauseMs = 200;

/** Asks again until there is an answer, at a pace that an API server does not mind; ends by the signal's reason. */
export async function pollCalmly<T>(signal: AbortSignal, ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    await delay(pauseMs, undefined, { signal });
  }
}
