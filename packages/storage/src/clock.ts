import { setTimeout as sleep } from "node:timers/promises";

/** Time as it is waited for: `nowMs` only ever grows and tells nothing about the date. */
export interface Clock {
  nowMs(): number;
  sleep(ms: number): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  sleep: (ms) => sleep(ms),
};
