import { setTimeout as delay } from "node:timers/promises";

/** Asks again until it holds. @throws when it does not in time */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs = 20_000,
  pollMs = 20,
): Promise<void> {
  for (const endAt = performance.now() + limitMs; ; await delay(pollMs)) {
    if (await holds()) return;
    if (performance.now() > endAt) throw new Error(`did not happen in ${limitMs} ms: ${what}`);
  }
}
