import type { Clock } from "./clock.ts";

/** A clock whose sleeps pass at once; `nowMs` is the sum of what was slept. */
export function createTestClock(): Clock {
  let now = 0;
  return {
    nowMs: () => now,
    sleep: (ms) => {
      now += ms;
      return Promise.resolve();
    },
  };
}
