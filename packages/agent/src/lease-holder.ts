import { setTimeout as delay } from "node:timers/promises";
import { type AgentConfig, type AgentStatus, AppError, type Run, isAppError, sameRun } from "@baton/protocol";
import {
  type Clock,
  type Lease,
  type LeaseChange,
  type LeaseView,
  type ObjectStore,
  changeLease,
  readLease,
  writeCanary,
} from "@baton/storage";
import type { RunFacts } from "./facts.ts";
import { type Log, reasonOf } from "./log.ts";

/** Monotonic; `after` calls once, unless it is taken back by what it returns. */
export interface HolderClock extends Clock {
  after(ms: number, act: () => void): () => void;
}

const systemClock: HolderClock = {
  nowMs: () => performance.now(),
  sleep: (ms) => delay(ms),
  after: (ms, act) => {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

const statusAgeMs = 1_000;
const readMs = 1_000;
/** The lease itself says no: our write was certainly not taken. */
const refusals: readonly string[] = [
  "grant-refused",
  "stale-epoch",
  "lease-foreign",
  "lease-mismatch",
  "lease-missing",
];

export interface LeaseHolder {
  /**
   * Turns the run's grant into the run (single use).
   * @throws AppError `grant-refused` when the lease refuses; anything else leaves it unknown whether the grant was used
   */
  take(run: RunFacts, deadlineMs: number): Promise<void>;
  /** Turns the run that it was into the next one of the same slot (rule 2). @throws as `take` does */
  restart(run: RunFacts, from: Run, deadlineMs: number): Promise<void>;
  /** Writes "stopped" for a run whose tree is gone. False when that was not possible: the receipt says it as well. */
  end(run: RunFacts, deadlineMs: number): Promise<boolean>;
  /** Gives up a grant; true when the lease certainly does not offer it any more, false when to ask again. */
  burn(params: {
    readonly epoch: number;
    readonly grant: string;
    readonly deadlineMs: number;
  }): Promise<boolean>;
  /**
   * Renews until `stopRenewing`. A failure changes nothing but the status, an expired lease is no evidence of anything; `onLost` is told, once, of
   * a lease that certainly names somebody else, or that could not be renewed for `lostAfterMs`. What becomes of that is the hook's policy.
   */
  startRenewing(run: RunFacts, onLost?: (why: string) => void): void;
  stopRenewing(): void;
  /** How the lease looks from here; at most a second old. `living` is the run that needs it. */
  status(living: Run | null): Promise<AgentStatus["lease"]>;
}

type AgentChange = Extract<LeaseChange, { kind: "run" | "restart" | "renew" | "stop" | "burn" }>;
type Fields<C> = C extends AgentChange ? Omit<C, "owner" | "holder"> : never;

export function createLeaseHolder(deps: {
  readonly placement: string;
  readonly storage: NonNullable<AgentConfig["storage"]>;
  readonly store: ObjectStore;
  readonly log: Log;
  readonly onRenewal?: ((result: "renewed" | "failed" | "lost") => void) | undefined;
  readonly clock?: HolderClock | undefined;
}): LeaseHolder {
  const { placement: holder, storage, store, log, onRenewal, clock = systemClock } = deps;
  const { prefix, owner, renewMs, lostAfterMs } = storage;
  let renewal: { cancel: () => void } | null = null;
  let seen: { readonly at: number; readonly view: Promise<Seen> } | null = null;

  /** As the last of our own writes left it. */
  let written: LeaseView | null = null;
  /** Seen in this life: else a key that may only read would be found out when the application is down already. */
  let mayWrite = false;

  const change = async (fields: Fields<AgentChange>, deadlineMs: number): Promise<void> => {
    seen = null;
    const known = fields.kind === "renew" ? written : null;
    written = null;
    const wanted = { ...fields, owner, holder };
    written = await changeLease({ store, prefix, change: wanted, known, deadlineMs, clock });
    seen = null;
    mayWrite = true;
  };

  const look = async (): Promise<Seen> => {
    try {
      const view = await readLease({ store, prefix, timeoutMs: readMs });
      if (!mayWrite) await writeCanary({ store, prefix, placement: holder, timeoutMs: readMs });
      mayWrite = true;
      return { lease: view?.lease ?? null, problem: null };
    } catch (error) {
      return { lease: null, problem: isAppError(error) ? error.message : "the lease cannot be read" };
    }
  };

  const begin = async (fields: Fields<AgentChange>, deadlineMs: number): Promise<void> => {
    try {
      await change(fields, deadlineMs);
    } catch (error) {
      if (isAppError(error) && refusals.includes(error.code))
        throw new AppError("grant-refused", error.message, { cause: error });
      throw error;
    }
  };

  return {
    take: ({ run, epoch, grant, operation }, deadlineMs) =>
      begin({ kind: "run", epoch, grant: grant ?? "", run, operation }, deadlineMs),
    restart: ({ run, epoch }, from, deadlineMs) => begin({ kind: "restart", epoch, from, run }, deadlineMs),

    async end({ run, epoch, grant, operation, endedBy }, deadlineMs) {
      const stop = (): Promise<void> => change({ kind: "stop", epoch, run }, deadlineMs);
      try {
        await stop().catch(async (error: unknown) => {
          // A start that was cut off before its answer: its grant may still be unused, and must not stay so.
          if (endedBy !== "never-executed" || !isAppError(error) || error.code !== "lease-mismatch")
            throw error;
          await change({ kind: "run", epoch, grant: grant ?? "", run, operation }, deadlineMs);
          await stop();
        });
        return true;
      } catch (error) {
        log("warn", "the lease could not be written stopped", { reason: reasonOf(error) });
        return false;
      }
    },

    async burn({ epoch, grant, deadlineMs }) {
      try {
        await change({ kind: "burn", epoch, grant }, deadlineMs);
        return true;
      } catch (error) {
        log("warn", "the grant could not be burned on the lease", { reason: reasonOf(error) });
        return isAppError(error) && refusals.includes(error.code);
      }
    },

    startRenewing({ run, epoch }, onLost) {
      const mine = { cancel: () => {} };
      renewal?.cancel();
      renewal = mine;
      // By a clock that stands still while the machine sleeps: asleep it cannot renew, and cannot write either.
      let renewedAt = clock.nowMs();
      let isLost = false;
      const lose = (why: string): void => {
        if (!isLost) onLost?.(why);
        isLost = true;
      };
      const plan = (): void => {
        mine.cancel = clock.after(renewMs, () => void renew());
      };
      const renew = async (): Promise<void> => {
        try {
          await change({ kind: "renew", epoch, run }, Math.max(1_000, renewMs));
          renewedAt = clock.nowMs();
          onRenewal?.("renewed");
        } catch (error) {
          if (renewal === mine) {
            log("warn", "the lease could not be renewed", { reason: reasonOf(error) });
            const isSomebodyElses = isAppError(error) && refusals.includes(error.code);
            onRenewal?.(isSomebodyElses ? "lost" : "failed");
            const silentMs = clock.nowMs() - renewedAt;
            if (isSomebodyElses) lose("the lease names somebody else");
            else if (silentMs >= lostAfterMs)
              lose(`the lease could not be renewed for ${Math.round(silentMs / 1_000)} s`);
          }
        }
        if (renewal === mine) plan();
      };
      plan();
    },

    stopRenewing() {
      renewal?.cancel();
      renewal = null;
    },

    async status(living) {
      if (seen === null || clock.nowMs() - seen.at > statusAgeMs) seen = { at: clock.nowMs(), view: look() };
      const { lease, problem } = await seen.view;
      if (problem !== null) return { reachable: false, lost: false, detail: problem };
      if (lease === null) return { reachable: true, lost: living !== null, detail: "there is no lease" };
      const isOurs =
        lease.owner === owner &&
        lease.holder === holder &&
        lease.state === "running" &&
        sameRun(lease.run, living);
      const detail = `epoch ${lease.epoch}, ${lease.state}, held by ${lease.holder}`;
      return { reachable: true, lost: living !== null && !isOurs, detail };
    },
  };
}

/** Where no storage is configured: nobody is asked, and nobody is kept out. */
export const withoutLease: LeaseHolder = {
  take: async () => {},
  restart: async () => {},
  end: async () => true,
  burn: async () => true,
  startRenewing: () => {},
  stopRenewing: () => {},
  status: async () => ({
    reachable: false,
    lost: false,
    detail: "no storage is configured: there is no lease",
  }),
};

interface Seen {
  readonly lease: Lease | null;
  readonly problem: string | null;
}
