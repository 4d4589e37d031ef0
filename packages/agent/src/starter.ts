import { setTimeout as delay } from "node:timers/promises";
import { type StartBody, sameRun } from "@baton/protocol";
import type { AgentContext } from "./agent-context.ts";
import type { StateMachine } from "./agent-state.ts";
import { type Ending, type OperationRecord, type RunFacts, withOperation } from "./facts.ts";
import { reasonOf } from "./log.ts";
import { type OwnStart, ownStart, plannedRun } from "./own-operation.ts";
import type { Recovered } from "./recover.ts";
import type { RunKeeper } from "./run-keeper.ts";
import { bringUp, executeRun } from "./start-run.ts";

const takeMs = 500;

/** Starts of the application: one at a time, by a command or by themselves. */
export interface Starter {
  /** The next run of this life, before anything of it happened. */
  plan(known: Pick<RunFacts, "epoch" | "operation" | "grant" | "hasSecrets">): Promise<RunFacts>;
  /** Begins what is recorded already; resolves when the start is over, well or not. */
  begin(record: OperationRecord, planned: RunFacts, secrets: StartBody): Promise<void>;
  /** Takes up a start of an earlier life whose application lives. */
  resume(record: OperationRecord): Promise<void>;
  /** Without a command, where the configuration says so and nothing forbids it. Resolves once it is begun; executed, where no lease is asked. */
  startByItself(): Promise<void>;
  /** A stop comes: what was not executed yet will not be. Resolves once that is decided. */
  giveWay(): Promise<void>;
}

export interface StarterDeps {
  readonly context: AgentContext;
  readonly machine: StateMachine;
  readonly keeper: RunKeeper;
  readonly recovered: Recovered;
  readonly closed: AbortSignal;
  readonly onLeaseLost: (why: string) => void;
  /** A start that nobody commanded failed. */
  readonly onOwnFailure: (run: RunFacts, ending: Ending) => Promise<void>;
}

export function createStarter(deps: StarterDeps): Starter {
  const { context, machine, keeper, recovered, closed, onLeaseLost, onOwnFailure } = deps;
  const { config, journal, executor, log } = context;
  let counter = 0;
  let abort = new AbortController();
  let executing: Promise<unknown> = Promise.resolve();

  const launch = async (
    record: OperationRecord,
    planned: RunFacts,
    secrets: StartBody,
    successorOf: OwnStart["successorOf"],
  ): Promise<void> => {
    counter += 1;
    abort = new AbortController();
    machine.send("start");
    const shared = { context, machine, keeper, record, abort: abort.signal, onLeaseLost };
    const execution = executeRun({ ...shared, planned, secrets, successorOf });
    executing = execution.catch(() => undefined);
    const executed = await execution;
    if (executed !== null) await bringUp({ ...shared, ...executed });
  };

  /** Nobody hears of its failure, so it is told as the application's own end. */
  const launchByItself = async ({ record, planned, successorOf }: OwnStart): Promise<void> => {
    await launch(record, planned, { environment: {} }, successorOf);
    const { run, operations } = journal.facts;
    const hasFailed = operations[record.key]?.progress.state === "failed";
    if (hasFailed && run?.end && sameRun(run.run, planned.run)) await onOwnFailure(run, run.end);
  };

  const inBackground = (work: Promise<void>): void =>
    void work.catch((error: unknown) => log("error", "cannot start", { reason: reasonOf(error) }));

  const startOnce = async (): Promise<void> => {
    const noNewPrivileges = await executor.withholdsPrivileges();
    const { state } = machine;
    const start = ownStart({ context, recovered, state, counter: counter + 1, noNewPrivileges });
    if (start === null) return;
    // Without a lease nothing comes between the intent and the execution, which one durable write less does not delay.
    const intent = config.storage === null ? { run: start.planned } : { starting: start.planned };
    await journal.update(
      (facts) => withOperation({ ...facts, ...intent }, start.record),
      () => inBackground(launchByItself(start)),
    );
  };

  /** Somebody else brings the application: each one that appears is taken, until a stop keeps the next one at the gate. */
  const keepTaking = async (appears: (signal: AbortSignal) => Promise<void>): Promise<void> => {
    while (!closed.aborted) {
      try {
        await appears(closed);
        await startOnce();
        await executing;
      } catch (error) {
        if (!closed.aborted) log("error", "the application cannot be taken", { reason: reasonOf(error) });
      }
      await delay(takeMs, undefined, { signal: closed, ref: false }).catch(() => undefined);
    }
  };

  return {
    plan: async (known) =>
      plannedRun({
        ...known,
        context,
        counter: counter + 1,
        noNewPrivileges: await executor.withholdsPrivileges(),
      }),
    begin: (record, planned, secrets) => launch(record, planned, secrets, null),
    async resume(record) {
      const { application } = recovered;
      if (application === null) return;
      const execAt = application.facts.process?.execAt ?? record.receivedAt;
      const executedAt = performance.now() - Math.max(0, Date.now() - Date.parse(record.receivedAt));
      const shared = { context, machine, keeper, record, abort: abort.signal, onLeaseLost };
      await bringUp({ ...shared, application, execAt, executedAt });
    },
    async startByItself() {
      if (executor.appears === undefined) {
        await startOnce();
        // What is loaded next would hold it up; a lease may take longer than a probe waits.
        if (config.storage === null) await executing;
      } else if (config.start === "immediately") inBackground(keepTaking(executor.appears));
    },
    async giveWay() {
      abort.abort();
      await executing;
    },
  };
}
