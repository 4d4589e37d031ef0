import { type Run, formatRun, isAppError, sameRun } from "@baton/protocol";
import { type LeaseChange, type WriteStamp, nextLease } from "../lease.ts";
import { type LeaseView, changeLease } from "../lease-write.ts";
import type { ObjectStore } from "../object-store.port.ts";
import { create, owner } from "../fixtures/lease-samples.ts";
import type { Behaviour } from "./behaviour.ts";
import type { Machine } from "./machine.ts";
import type { Oracle } from "./oracle.ts";
import type { Random } from "./random.ts";

/** What ended: the agent's receipt, as far as the lease needs it. */
export interface Ended {
  readonly holder: string;
  readonly epoch: number;
  readonly run: Run | null;
}

export type Command =
  | { readonly kind: "start"; readonly epoch: number; readonly grant: string }
  | { readonly kind: "burn"; readonly epoch: number; readonly grant: string }
  | { readonly kind: "stop"; readonly run: Run };
export type Answer = { readonly kind: "ended"; readonly ended: Ended } | { readonly kind: "started" | "no" };

interface Start {
  readonly epoch: number;
  readonly grant: string;
  readonly run: Run;
  /** The run of this slot that it follows; null for a start by a grant. */
  readonly from: Run | null;
  /** `intended` before the write on the lease, and until the processes begin. */
  phase: "intended" | "begun" | "ended";
}

/** What an agent has on its disk. */
export interface Journal {
  current: Start | null;
  counter: number;
  readonly used: Set<string>;
  readonly burned: Set<string>;
  readonly ended: Map<string, Ended>;
}

export const emptyJournal = (): Journal => ({
  current: null,
  counter: 0,
  used: new Set(),
  burned: new Set(),
  ended: new Map(),
});

export interface Agent {
  handle(command: Command, reply: (answer: Answer) => void): void;
  /** The application ended by itself. */
  exited(): void;
}

const { prefix } = create;
const renewMs = 3_000;
const deadlineMs = 4_000;
const refusals: readonly string[] = [
  "grant-refused",
  "stale-epoch",
  "lease-foreign",
  "lease-mismatch",
  "lease-missing",
  "lease-superseded",
];

/** One life of an agent: writes its intent before each act, and after a crash goes on from there with the same run. */
export function startAgent(deps: {
  readonly machine: Machine;
  readonly journal: Journal;
  readonly store: ObjectStore;
  readonly stamp: () => WriteStamp;
  readonly random: Random;
  readonly oracle: Oracle;
  readonly behaviour: Behaviour;
  readonly onLeaseLost: "keep" | "stop";
}): Agent {
  const { machine, journal, store, stamp, random, oracle, behaviour } = deps;
  const holder = machine.name;
  let last: Promise<void> = Promise.resolve();

  /** One act at a time; only renewals run beside it. */
  const inTurn = (act: () => Promise<void>): void => {
    last = last.then(act).catch((error: unknown) => oracle.died(holder, error));
  };
  /** A process may stop here for good, or for an hour. */
  const moment = (): Promise<void> => machine.clock.sleep(random.between(0, 20));

  const change = (wanted: LeaseChange, known: LeaseView | null = null): Promise<LeaseView> => {
    const { clock } = machine;
    const call = changeLease({ store, prefix, change: wanted, known, deadlineMs, clock, stamp });
    return oracle.watchChange(machine, deadlineMs, wanted, call);
  };
  /** Null: it is not known whether the write was taken. */
  const tell = async (wanted: LeaseChange): Promise<LeaseView | "refused" | null> => {
    try {
      return await change(wanted);
    } catch (error) {
      if (!isAppError(error)) throw error;
      return refusals.includes(error.code) ? "refused" : null;
    }
  };

  /** Makes the lease name the intended run, with the same write as often as it takes. */
  const settle = async (start: Start): Promise<LeaseView | null> => {
    const { epoch, grant, run, from } = start;
    const agent = { owner, holder, epoch, run };
    const told = await tell(
      from === null ? { kind: "run", ...agent, grant } : { kind: "restart", ...agent, from },
    );
    if (told === "refused") start.phase = "ended";
    return told === "refused" ? null : told;
  };
  const begin = async (start: Start): Promise<boolean> => {
    await moment();
    const view = await settle(start);
    if (view === null) {
      // While it is unclear, the very same start is tried again.
      if (isIntended(start)) machine.timer(2_000, "tries the start again", () => resume(start));
      return false;
    }
    await moment();
    oracle.spawned({ run: start.run, epoch: start.epoch });
    start.phase = "begun";
    renew(start, view);
    return true;
  };
  const isIntended = (start: Start): boolean => journal.current === start && start.phase === "intended";
  const resume = (start: Start): void =>
    inTurn(async () => {
      if (isIntended(start)) await begin(start);
    });
  const nextRun = (): Run => ({ placement: holder, instance: "life1", counter: (journal.counter += 1) });
  const restart = async (): Promise<void> => {
    const { current } = journal;
    if (current?.phase !== "begun" || oracle.isAlive(current.run)) return;
    journal.current = { ...current, from: current.run, run: nextRun(), phase: "intended" };
    await begin(journal.current);
  };
  const kill = async (start: Start): Promise<Ended> => {
    await machine.clock.sleep(random.between(20, 800));
    oracle.gone(start.run);
    start.phase = "ended";
    const ended = { holder, epoch: start.epoch, run: start.run };
    journal.ended.set(formatRun(start.run), ended);
    return ended;
  };

  const renew = (start: Start, first: LeaseView | null): void => {
    const { run, epoch } = start;
    const wanted = { kind: "renew", owner, holder, epoch, run } as const;
    const loop = async (): Promise<void> => {
      let known = first;
      for (;;) {
        await machine.clock.sleep(renewMs + random.between(0, 500));
        if (journal.current !== start || start.phase !== "begun") return;
        try {
          known =
            behaviour.renew !== null && known !== null
              ? await behaviour.renew(store, { ...known, lease: nextLease(known.lease, wanted, stamp()) })
              : await change(wanted, known);
        } catch (error) {
          known = null;
          if (!isAppError(error)) throw error;
          if (!refusals.includes(error.code)) continue;
          // It says lost. What it keeps alive cannot write once its credentials are refused.
          if (deps.onLeaseLost === "stop")
            inTurn(async () => {
              if (start.phase === "begun") await kill(start);
            });
          return;
        }
      }
    };
    loop().catch((error: unknown) => oracle.died(holder, error));
  };

  const start = async (epoch: number, grant: string): Promise<Answer> => {
    const { current } = journal;
    if (current?.grant === grant && current.phase === "intended" && current.from === null)
      return { kind: (await begin(current)) ? "started" : "no" };
    const isBusy = current !== null && current.phase !== "ended";
    if (isBusy || journal.used.has(grant) || journal.burned.has(grant)) return { kind: "no" };
    journal.used.add(grant);
    journal.current = { epoch, grant, run: nextRun(), from: null, phase: "intended" };
    return { kind: (await begin(journal.current)) ? "started" : "no" };
  };
  const stop = async (run: Run, reply: (answer: Answer) => void): Promise<Answer> => {
    const { current } = journal;
    const before = journal.ended.get(formatRun(run));
    if (before !== undefined) return { kind: "ended", ended: before };
    if (current?.phase === "intended" && (await settle(current)) === null) return { kind: "no" };
    if (current === null || !sameRun(current.run, run) || current.phase === "ended") return { kind: "no" };
    const ended = await kill(current);
    // The receipt may be faster than the lease.
    if (random.chance(0.3)) reply({ kind: "ended", ended });
    const view = await tell({ kind: "stop", owner, holder, epoch: current.epoch, run });
    if (view !== null && view !== "refused") await behaviour.release(store);
    return { kind: "ended", ended };
  };
  const burn = async (epoch: number, grant: string): Promise<Answer> => {
    if (journal.used.has(grant)) return { kind: "no" };
    journal.burned.add(grant);
    await moment();
    const told = await tell({ kind: "burn", owner, holder, epoch, grant });
    return told === null ? { kind: "no" } : { kind: "ended", ended: { holder, epoch, run: null } };
  };

  inTurn(async () => {
    const { current } = journal;
    if (current?.phase === "intended") await begin(current);
    else if (current?.phase === "begun" && oracle.isAlive(current.run)) renew(current, null);
    else await restart();
  });
  return {
    handle: (command, reply) =>
      inTurn(async () => {
        if (command.kind === "stop") reply(await stop(command.run, reply));
        else if (command.kind === "burn") reply(await burn(command.epoch, command.grant));
        else reply(await start(command.epoch, command.grant));
      }),
    exited: () => inTurn(restart),
  };
}
