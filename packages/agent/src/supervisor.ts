import {
  type AgentStatus,
  AppError,
  commandKey,
  formatRun,
  newNonce,
  newOperationId,
  sameRun,
} from "@baton/protocol";
import {
  type BurnCommand,
  type OpenCommand,
  type StartCommand,
  type StopCommand,
  type WithdrawCommand,
  admitBurn,
  admitOpen,
  admitStart,
  admitStop,
  admitWithdraw,
} from "./admit-command.ts";
import { type AgentContext, insist, note } from "./agent-context.ts";
import { type StateMachine, createStateMachine } from "./agent-state.ts";
import { withholdsPrivileges } from "./execute.ts";
import { type Ending, type OperationRecord, type RunFacts, changeOperation, withOperation } from "./facts.ts";
import { reasonOf } from "./log.ts";
import type { Recovered } from "./recover.ts";
import { createRunKeeper } from "./run-keeper.ts";
import { bringUp, executeRun } from "./start-run.ts";
import { splitDeadline } from "./stop-application.ts";
import { agentVersion } from "./version.ts";

const burnTryMs = 10_000;
const burnPauseMs = 1_000;

/** Does what accepted commands say. Each call returns once the command is durably accepted, or throws the refusal. */
export interface Supervisor {
  stop(verified: StopCommand): Promise<void>;
  /** `secrets` are handed to the application and kept nowhere. */
  start(verified: StartCommand, secrets: Readonly<Record<string, string>>): Promise<void>;
  burn(verified: BurnCommand): Promise<void>;
  withdraw(verified: WithdrawCommand): Promise<void>;
  open(verified: OpenCommand): Promise<void>;
  status(): Promise<AgentStatus>;
  /** Whether clients are let in. */
  isOpen(): boolean;
  /** Takes up what an earlier life of the agent left open. */
  resume(): void;
  /** Stops the application by the same path, with a receipt of its own. False when it is not proven gone. */
  shutDown(): Promise<boolean>;
  /** Ends what would keep the process alive; the application is left alone. */
  close(): Promise<void>;
}

export function createSupervisor(context: AgentContext, recovered: Recovered): Supervisor {
  const { config, instance, self, journal, lease, receipts, confirmations, effects, operations, log } =
    context;
  const machine: StateMachine = createStateMachine(recovered.state);
  let starting = new AbortController();
  let executing: Promise<unknown> = Promise.resolve();
  let counter = 0;
  let isEnding = false;
  const finishing = new Set<Promise<void>>();
  const closed = new AbortController();
  const keeper = createRunKeeper(context, machine, () => starting.abort());

  /** Runs on by itself; the answer is found under the operation's key. */
  const inBackground = (what: string, work: Promise<void>): void => {
    const tracked = work
      .catch((error: unknown) => log("error", `cannot ${what}`, { reason: reasonOf(error) }))
      .finally(() => finishing.delete(tracked));
    finishing.add(tracked);
  };

  /** The receipt is on disk before anybody can see it. */
  const finish = async (record: OperationRecord, ending: Ending): Promise<void> => {
    const { key, operation, epoch } = record;
    const result = await insist(log, "write the receipt", () => receipts.write(record, ending));
    if (result === "written")
      await effects.record({ effect: "receipt", operation, key, epoch }).catch(() => undefined);
    await note(context, (facts) => changeOperation(facts, key, { progress: { state: "receipt" } }));
    operations.changed(key);
    if (record.confirmation === "pending") confirmations.send(key, await receipts.read(key));
  };

  const endRun = async (
    record: OperationRecord,
    deadlineMs: number,
    firstScan?: ReturnType<typeof beginScan>,
  ) => {
    const { key, operation, epoch } = record;
    if (keeper.application === null && journal.facts.run?.end === null) {
      // Between the intent and the execution: whichever comes first decides whether there is something to stop.
      starting.abort();
      await executing;
    }
    const ended = journal.facts.run?.end ?? null;
    if (ended !== null) {
      if (record.late && journal.facts.run?.endedBy === "never-executed")
        await lease.end(journal.facts.run, 2_000);
      return finish(record, ended);
    }
    const budget = splitDeadline(config.hook, deadlineMs);
    return finish(record, await keeper.stop({ key, operation, epoch, budget, firstScan, by: "stop" }));
  };

  const beginScan = () => {
    const scan = keeper.application?.scan();
    scan?.catch(() => undefined);
    return scan;
  };

  const launch = async (
    record: OperationRecord,
    planned: RunFacts,
    secrets: Readonly<Record<string, string>>,
  ) => {
    const abort = starting.signal;
    const shared = { context, machine, keeper, record, abort };
    const execution = executeRun({ ...shared, planned, secrets });
    executing = execution.catch(() => undefined);
    const executed = await execution;
    if (executed !== null) await bringUp({ ...shared, ...executed });
  };

  const burnOnLease = async (record: OperationRecord): Promise<void> => {
    const { key, operation, epoch, grant } = record;
    await effects.record({ effect: "burn", operation, key, epoch }).catch(() => undefined);
    while (!(await lease.burn({ epoch, grant: grant ?? "", deadlineMs: burnTryMs }))) {
      if (closed.signal.aborted) return;
      await new Promise((resolve) => setTimeout(resolve, burnPauseMs).unref());
    }
    await finish(record, {
      outcome: "never-started",
      evidenceClass: "proven",
      exit: null,
      signals: [],
      evidence: { treeGone: true, remaining: [], bootId: self.bootId },
      timings: { signalledAt: null, exitedAt: null, verifiedAt: record.receivedAt, stopMs: null },
    });
  };

  /** Accepts a command once: `begin` runs only for the one that was not there before. */
  const accept = async (
    key: string,
    admit: Parameters<typeof journal.update>[0],
    begin: (record: OperationRecord) => void,
  ): Promise<void> => {
    let isNew = false;
    await journal.update(
      (facts) => {
        const next = admit(facts);
        isNew = next !== facts;
        return next;
      },
      ({ operations: records }) => {
        const record = records[key];
        if (isNew && record !== undefined) begin(record);
      },
    );
  };

  const isOpen = (): boolean => machine.state === "running" && journal.facts.run?.open === true;

  return {
    async stop(verified) {
      const { command } = verified;
      const receivedAt = new Date().toISOString();
      const isAboutOurs = keeper.application !== null && sameRun(keeper.application.facts.run, command.run);
      // Looking takes as long as the disk does: both at once, since the signal waits for both.
      const firstScan = isAboutOurs && machine.state === "running" ? beginScan() : undefined;
      await accept(
        command.key,
        (facts) => admitStop(facts, verified, receivedAt),
        (record) => inBackground("stop", endRun(record, record.deadlineMs, firstScan)),
      );
    },
    async start(verified, secrets) {
      const { command, epoch } = verified;
      const receivedAt = new Date().toISOString();
      const noNewPrivileges = await withholdsPrivileges();
      const planned: RunFacts = {
        run: { placement: config.placement, instance, counter: counter + 1 },
        epoch,
        operation: command.operation,
        grant: command.grant,
        cookie: `${config.placement}:${newNonce()}`,
        bootId: self.bootId,
        since: self.startTime,
        noNewPrivileges,
        process: null,
        readyAt: null,
        open: false,
        end: null,
        endedBy: null,
      };
      await accept(
        command.key,
        (facts) => {
          if (isEnding) throw new AppError("wrong-state", "cannot start: the agent is ending");
          return admitStart(facts, machine.state, verified, planned, receivedAt);
        },
        (record) => {
          counter += 1;
          starting = new AbortController();
          machine.send("start");
          inBackground("start", launch(record, planned, secrets));
        },
      );
    },
    async burn(verified) {
      const receivedAt = new Date().toISOString();
      await accept(
        verified.command.key,
        (facts) => admitBurn(facts, machine.state, verified, receivedAt),
        (record) => inBackground("burn", burnOnLease(record)),
      );
    },
    async withdraw(verified) {
      await journal.update((facts) => admitWithdraw(facts, verified));
    },
    async open(verified) {
      await journal.update((facts) => admitOpen(facts, machine.state, verified));
    },
    async status() {
      const { run, epoch } = journal.facts;
      const living = run !== null && run.end === null ? run : null;
      return {
        placement: config.placement,
        instance,
        agentVersion,
        state: machine.state,
        epoch,
        run: run?.run ?? null,
        ready: (living?.readyAt ?? null) !== null && keeper.application?.ended === null,
        open: isOpen(),
        lease: await lease.status(living?.run ?? null),
      };
    },
    isOpen,
    resume() {
      const { application, abandoned } = recovered;
      if (abandoned !== null)
        inBackground(
          "write the lease",
          lease.end(abandoned, 10_000).then(() => undefined),
        );
      if (application !== null) {
        keeper.keep(application);
        lease.startRenewing(application.facts);
      }
      for (const record of Object.values(journal.facts.operations)) {
        if (record.progress.state === "receipt" && record.confirmation === "pending")
          inBackground(
            "confirm",
            receipts.read(record.key).then((receipt) => confirmations.send(record.key, receipt)),
          );
        if (record.progress.state !== "open") continue;
        const elapsedMs = Math.max(0, Date.now() - Date.parse(record.receivedAt));
        const leftMs = Math.max(0, record.deadlineMs - elapsedMs);
        log("info", "an operation of an earlier life is taken up again", {
          key: record.key,
          kind: record.kind,
        });
        if (record.kind === "stop") inBackground("stop", endRun(record, leftMs));
        else if (record.kind === "burn") inBackground("burn", burnOnLease(record));
        else if (application !== null) {
          const execAt = application.facts.process?.execAt ?? record.receivedAt;
          const executedAt = performance.now() - elapsedMs;
          const abort = starting.signal;
          inBackground(
            "start",
            bringUp({ context, machine, keeper, record, abort, application, execAt, executedAt }),
          );
        }
      }
    },
    async shutDown() {
      isEnding = true;
      starting.abort();
      await executing;
      const run = keeper.application?.facts;
      if (run !== undefined) {
        const operation = newOperationId();
        const { graceMs } = config.hook;
        const record: OperationRecord = {
          key: commandKey({ operation, step: "agent-stop", attempt: 1, run: run.run }),
          kind: "stop",
          operation,
          epoch: run.epoch,
          run: run.run,
          grant: null,
          receivedAt: new Date().toISOString(),
          deadlineMs: graceMs + 10_000,
          late: false,
          progress: { state: "open" },
          // Nobody ordered it, so nobody waits for it.
          confirmation: "none",
        };
        log("info", "the agent is told to end: it stops the application first", { run: formatRun(run.run) });
        await note(context, (facts) => withOperation(facts, record));
        await endRun(record, record.deadlineMs);
      }
      isEnding = keeper.application === null;
      if (isEnding) closed.abort();
      await Promise.all(finishing);
      return keeper.application === null;
    },
    async close() {
      closed.abort();
      keeper.release();
      lease.stopRenewing();
      confirmations.close();
      await journal.idle();
    },
  };
}
