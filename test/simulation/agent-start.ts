import {
  type Ending,
  type Facts,
  type LeaseHolder,
  type OperationRecord,
  type RunFacts,
  type StateMachine,
  changeOperation,
  changeRun,
  neverExecuted,
} from "@baton/agent/testing";
import { AppError, type Run, isAppError } from "@baton/protocol";
import { type AgentDeps, blankRun, bootId, failed, slot } from "./agent-records.ts";
import type { Application } from "./application.ts";
import { moment } from "./names.ts";

interface StarterDeps extends Pick<AgentDeps, "machine" | "placement" | "sights" | "hasSecrets" | "execute"> {
  readonly lease: LeaseHolder;
  readonly state: () => StateMachine;
  readonly update: (change: (facts: Facts) => Facts) => Promise<void>;
  readonly tell: (key: string) => void;
  readonly stop: (run: RunFacts) => Promise<Ending>;
  readonly exited: () => void;
  readonly inBackground: (work: Promise<unknown>) => void;
}

const leaseRunMs = 10_000;

/** Stands for `start-run.ts`, `starter.ts` and `own-operation.ts`: a grant, or the run before, becomes a run, which is executed and waited for. */
export function createStarter(deps: StarterDeps) {
  const { machine, placement, sights, lease, state, update, tell, stop, exited, inBackground } = deps;
  const { clock } = machine;
  const instance = `life${machine.life}`;
  let counter = 0;
  let starting: Promise<void> = Promise.resolve();
  let isAborted = false;

  const launch = async (record: OperationRecord, planned: RunFacts, from: Run | null): Promise<void> => {
    counter = planned.run.counter;
    isAborted = false;
    state().send("start");
    const { key, deadlineMs } = record;
    const deadlineAt = clock.nowMs() + deadlineMs;
    const giveUp = async (error: unknown): Promise<void> => {
      const run: RunFacts = { ...planned, end: neverExecuted(bootId, moment), endedBy: "never-executed" };
      await update((all) => failed({ ...all, starting: null, run }, key, error));
      state().end("died", { treeGone: true, checks: [] });
      tell(key);
      await lease.end(run, 2_000);
    };
    try {
      if (from === null) await lease.take(planned, Math.min(leaseRunMs, deadlineMs));
      else await lease.restart(planned, from, Math.min(leaseRunMs, deadlineMs));
    } catch (error) {
      if (!isAppError(error) || !["grant-refused", "deadline-exceeded"].includes(error.code))
        return giveUp(error);
      await update((all) => failed({ ...all, starting: null }, key, error));
      state().send("startRefused");
      return tell(key);
    }
    await update((all) => ({ ...all, starting: null, run: planned }));
    if (clock.nowMs() > deadlineAt)
      return giveUp(new AppError("deadline-exceeded", "cannot start: too late"));
    if (isAborted) return giveUp(new AppError("wrong-state", "cannot start: a stop came"));
    if (from !== null) sights.see("restart in its slot");
    const running = deps.execute(planned);
    lease.startRenewing(planned);
    await bringUp(record, planned, running, deadlineAt);
  };
  const bringUp = async (
    record: OperationRecord,
    planned: RunFacts,
    running: Application,
    deadlineAt: number,
  ): Promise<void> => {
    const { key } = record;
    const { run } = planned;
    while (!running.isReady && running.exit === null && !isAborted && clock.nowMs() < deadlineAt)
      await clock.sleep(40);
    if (isAborted) {
      await update((all) => failed(all, key, new AppError("wrong-state", "cannot start: a stop came")));
    } else if (running.isReady) {
      await update((all) => {
        if (state().state !== "starting") return failed(all, key, new AppError("wrong-state", "a stop came"));
        const result = { run, execAt: moment, readyAt: moment, startMs: 1 };
        const progress = { state: "started", result } as const;
        return changeRun(changeOperation(all, key, { progress }), { readyAt: moment });
      });
      if (state().state === "starting") state().send("ready");
      if (running.exit !== null) exited();
    } else {
      const why = running.exit === null ? "application-not-ready" : "application-exited";
      await stop(planned);
      await update((all) =>
        failed(all, key, new AppError(why, "cannot start: the application is not ready")),
      );
    }
    tell(key);
  };
  const begin = (work: Promise<void>): void => {
    starting = work.catch(() => undefined);
    inBackground(work);
  };
  const plan = (known: Pick<RunFacts, "epoch" | "operation" | "grant" | "open">): RunFacts => ({
    ...known,
    ...blankRun,
    run: { placement, instance, counter: counter + 1 },
    slot,
    hasSecrets: deps.hasSecrets,
    process: null,
    readyAt: null,
    end: null,
    endedBy: null,
  });

  const abort = (): void => {
    isAborted = true;
  };
  return {
    launch,
    bringUp,
    begin,
    plan,
    /** What was not executed yet will not be. */
    abort,
    giveWay: (): Promise<void> => {
      abort();
      return starting;
    },
  };
}
