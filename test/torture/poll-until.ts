import { setTimeout as delay } from "node:timers/promises";

/** @returns whether it held before the time was over. */
export async function pollUntil(
  limitMs: number,
  holds: () => Promise<boolean>,
  pauseMs = 50,
): Promise<boolean> {
  for (const deadline = performance.now() + limitMs; !(await holds()); await delay(pauseMs))
    if (performance.now() > deadline) return false;
  return true;
}
