import type { Clock } from "../clock.ts";
import type { Scheduler } from "./scheduler.ts";

/** A process on a machine of its own. What belongs to one of its lives is lost with that life; what it journalled is kept by its actor. */
export interface Machine {
  readonly name: string;
  /** Grows by one with every start. */
  readonly life: number;
  readonly isFrozen: boolean;
  /** Monotonic: stops while the machine is suspended, runs on while the process is paused. */
  readonly clock: Clock;
  /** What a clock on the wall says; worth nothing. */
  wallMs(): number;
  /** How long the process could have worked. */
  activeMs(): number;
  /** Calls `act` when the process is awake, and never in another life than `inLife`, by default the one that is now. */
  deliver(delayMs: number, what: string, act: () => void, inLife?: number): () => void;
  /** As `deliver`, on the machine's own clock. */
  timer(delayMs: number, what: string, act: () => void): () => void;
  freeze(kind: "pause" | "suspend", forMs: number): void;
  jumpWallClock(byMs: number): void;
  /** Null: it stays down. */
  crash(restartAfterMs: number | null): void;
  start(): void;
}

export function createMachine(params: {
  readonly name: string;
  readonly scheduler: Scheduler;
  /** The process, from its start; called once in every life. */
  readonly main: () => void;
}): Machine {
  const { name, scheduler, main } = params;
  const nowMs = (): number => scheduler.nowMs();
  let life = 0;
  let isDown = true;
  let isForGood = false;
  let frozenUntilMs = 0;
  let suspendedMs = 0;
  let frozenMs = 0;
  let wallOffsetMs = Date.UTC(2026, 0, 1);

  const deliver: Machine["deliver"] = (delayMs, what, act, inLife = life) => {
    let cancel = (): void => {};
    const arrive = (): void => {
      if (isDown || life !== inLife) return;
      if (nowMs() < frozenUntilMs)
        cancel = scheduler.after(frozenUntilMs - nowMs(), `${name} awake: ${what}`, arrive);
      else act();
    };
    if (!isDown) cancel = scheduler.after(delayMs, `${name}: ${what}`, arrive);
    return () => cancel();
  };
  const monotonicMs = (): number => nowMs() - suspendedMs;
  const timer: Machine["timer"] = (delayMs, what, act) => {
    // Whole, or rounding could leave a rest that no time is too short for.
    const dueMs = monotonicMs() + Math.ceil(delayMs);
    let cancel = (): void => {};
    const ring = (): void => {
      const leftMs = dueMs - monotonicMs();
      if (leftMs > 0) cancel = deliver(leftMs, what, ring);
      else act();
    };
    cancel = deliver(delayMs, what, ring);
    return () => cancel();
  };
  const machine: Machine = {
    name,
    get life() {
      return life;
    },
    get isFrozen() {
      return nowMs() < frozenUntilMs;
    },
    clock: {
      nowMs: monotonicMs,
      sleep: (ms) => new Promise((resolve) => timer(ms, "slept", resolve)),
    },
    wallMs: () => monotonicMs() + wallOffsetMs,
    activeMs: () => nowMs() - frozenMs,
    deliver,
    timer,
    freeze(kind, forMs) {
      if (machine.isFrozen || isDown) return;
      frozenUntilMs = nowMs() + forMs;
      frozenMs += forMs;
      if (kind === "suspend") suspendedMs += forMs;
    },
    jumpWallClock(byMs) {
      wallOffsetMs += byMs;
    },
    crash(restartAfterMs) {
      isDown = true;
      life += 1;
      isForGood ||= restartAfterMs === null;
      if (restartAfterMs !== null)
        scheduler.after(restartAfterMs, `${name} starts again`, () => machine.start());
    },
    start() {
      if (!isDown || isForGood) return;
      isDown = false;
      // A machine that starts anew was not asleep: what is left of a freeze is over, and its clocks say so from here on.
      frozenUntilMs = nowMs();
      main();
    },
  };
  return machine;
}
