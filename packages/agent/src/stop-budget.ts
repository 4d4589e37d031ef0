import type { Hook } from "@baton/protocol";
import { type Deadline, createDeadline } from "./deadline.ts";

/** What a stop still has to do, each with the time that it would like, in ms. */
export interface Demand {
  readonly what: "drain" | "quiesce" | "signal" | "kill" | "export";
  readonly ms: number;
}

/** What a stop by this hook wants, in order; `toServe`: clients may be connected. */
export const demandsOf = (hook: Hook, toServe: boolean): readonly Demand[] => [
  ...(toServe && hook.drain !== null
    ? [{ what: "drain", ms: hook.drain.delayMs + hook.drain.timeoutMs } as const]
    : []),
  ...(toServe && hook.quiesce !== null ? [{ what: "quiesce", ms: hook.quiesce.timeoutMs } as const] : []),
  { what: "signal", ms: hook.graceMs },
  ...hook.escalation.map(({ graceMs }) => ({ what: "signal", ms: graceMs }) as const),
  ...(hook.killAllowed ? [{ what: "kill", ms: killMs } as const] : []),
  ...(hook.export === null ? [] : [{ what: "export", ms: hook.export.timeoutMs } as const]),
];

const killMs = 5_000;

/** Kept back from every stop, so that its end can be proven and told: for the looks after the tree is gone, then for receipt and lease. */
export const reserveMs = (totalMs: number): { readonly verifyMs: number; readonly persistMs: number } => ({
  verifyMs: Math.min(2_000, totalMs / 5),
  persistMs: Math.min(2_500, totalMs / 5),
});

/**
 * How long the first of what is left to do may take: what it would like, or its share when there is not enough for all. An early
 * end leaves more to the later ones.
 */
export function shareOf(left: readonly Demand[], availableMs: number): number {
  const [first] = left;
  if (first === undefined) return 0;
  const wanted = left.reduce((sum, { ms }) => sum + ms, 0);
  const share = wanted <= availableMs ? first.ms : (first.ms * availableMs) / wanted;
  return Math.max(0, Math.min(share, availableMs));
}

/** A phase's own end. It moves closer with the stop's, so that a phase that is under way leaves their share to the later ones. */
export interface Phase {
  readonly deadline: Deadline;
  /** The next one may begin. */
  close(): void;
}

export interface StopBudget {
  /** Begins the next phase of that kind; those before it that were not begun leave their time to the others. Without a demand: no time. */
  open(what: Demand["what"]): Phase;
  /** The phase that was closed last wants so much more: time passed in which nobody could do anything. */
  giveBack(demand: Demand): void;
  /** When the last look must have been taken, on the clock of `performance.now()`: what is left then is for receipt and lease. */
  readonly verifyEndAt: number;
}

/** Splits the time until the deadline over what a stop has to do. No phase ends later than the reserve allows, also when the deadline moves. */
export function createStopBudget(demands: readonly Demand[], deadline: Deadline): StopBudget {
  let left = demands;
  let reserve = reserveMs(deadline.leftMs());
  const availableMs = (): number => deadline.leftMs() - reserve.verifyMs - reserve.persistMs;
  return {
    open(what) {
      const at = left.findIndex((demand) => demand.what === what);
      left = at < 0 ? [{ what, ms: 0 }, ...left] : left.slice(at);
      const phase = createDeadline(performance.now() + shareOf(left, availableMs()));
      let { moved } = deadline;
      const follow = (): void => {
        reserve = reserveMs(deadline.leftMs());
        const rest = [{ what, ms: phase.leftMs() }, ...left.slice(1)];
        phase.shrinkTo(performance.now() + shareOf(rest, availableMs()));
        ({ moved } = deadline);
        moved.addEventListener("abort", follow, { once: true });
      };
      moved.addEventListener("abort", follow, { once: true });
      return {
        deadline: phase,
        close() {
          moved.removeEventListener("abort", follow);
          left = left.slice(1);
        },
      };
    },
    giveBack(demand) {
      left = [demand, ...left];
    },
    get verifyEndAt() {
      return deadline.at - reserveMs(deadline.leftMs()).persistMs;
    },
  };
}
