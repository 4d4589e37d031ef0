import { signalProcess } from "@baton/process-tree";
import type { AccessKey, AgentStatus, CheckResult, ServedKey, StartBody } from "@baton/protocol";
import { AppError, formatRun, longestStopMs, sameRun } from "@baton/protocol";
import {
  type BurnCommand,
  type CheckCommand,
  type KeysCommand,
  type OpenCommand,
  type StartCommand,
  type StopCommand,
  type WithdrawCommand,
  admitBurn,
  admitCheck,
  admitKeys,
  admitOpen,
  admitStart,
  admitStop,
  admitWithdraw,
} from "./admit-command.ts";
import { type AgentContext, note } from "./agent-context.ts";
import { type StateMachine, createStateMachine } from "./agent-state.ts";
import type { Exit } from "./application.ts";
import { createDeadline } from "./deadline.ts";
import { type Ending, type OperationRecord, type RunFacts, platformStop, withOperation } from "./facts.ts";
import type { Finisher } from "./finish-operation.ts";
import { reasonOf } from "./log.ts";
import { ownOperation, unrecordable } from "./own-operation.ts";
import type { Recovered } from "./recover.ts";
import { runCheck } from "./run-check.ts";
import { createRunKeeper } from "./run-keeper.ts";
import { createStarter } from "./starter.ts";
import { describeWait } from "./waiting.ts";
import { agentVersion } from "./version.ts";

const burnTryMs = 10_000;
const burnPauseMs = 1_000;

/** Does what accepted commands say. Each call returns once the command is durably accepted, or throws the refusal. */
export interface Supervisor {
  stop(verified: StopCommand): Promise<void>;
  /** `secrets` are handed to the application and kept in memory only. */
  start(verified: StartCommand, secrets: StartBody): Promise<void>;
  burn(verified: BurnCommand): Promise<void>;
  withdraw(verified: WithdrawCommand): Promise<void>;
  open(verified: OpenCommand): Promise<void>;
  /** Runs a check of the configuration beside the application; nothing of it is kept. */
  check(verified: CheckCommand): Promise<CheckResult>;
  /** The key, too, is kept in memory only. */
  replaceKey(verified: KeysCommand, key: AccessKey): Promise<ServedKey>;
  status(): Promise<AgentStatus>;
  /** The part of the status that asks nobody. */
  snapshot(): Pick<AgentStatus, "state" | "epoch" | "run" | "ready" | "open">;
  /** Whether clients are let in. */
  isOpen(): boolean;
  /** Takes up what an earlier life of the agent left open. */
  resume(): void;
  /** Starts the application without a command, where the configuration says so and nothing forbids it. */
  startByItself(): Promise<void>;
  /**
   * Stops the application by the same path as a command, with a receipt of its own; joins a stop that is under way. Null when there was nothing to stop.
   * Resolves when it ended. `by` becomes part of the receipt's key.
   */
  stopByItself(
    by: string,
    deadlineMs: number,
  ): Promise<{ readonly key: string; readonly ending: Ending } | null>;
  /** The platform ends us in `platformGraceMs`: stops the application in that time. False when it is not proven gone. */
  shutDown(): Promise<boolean>;
  /** Passes a signal to the main process, if it lives. */
  forward(signal: NodeJS.Signals): void;
  /** How the last run ended; null when it lives, or there was none. */
  readonly lastExit: { readonly exit: Exit | null } | null;
  /** Ends what would keep the process alive; the application is left alone. */
  close(): Promise<void>;
}

export interface SupervisorDeps {
  readonly context: AgentContext;
  readonly recovered: Recovered;
  readonly finisher: Finisher;
  /** The application ended by itself, and its receipt is written. */
  readonly onOwnEnd: () => void;
  /** What a stop had left is gone at last. */
  readonly onRestGone: () => void;
}

export function createSupervisor({
  context,
  recovered,
  finisher,
  onOwnEnd,
  onRestGone,
}: SupervisorDeps): Supervisor {
  const { config, instance, self, journal, lease, effects, keyServer, log } = context;
  const machine: StateMachine = createStateMachine(recovered.state);
  let isEnding = false;
  let telling: Promise<void> = Promise.resolve();
  let since = new Date().toISOString();
  const longestMs = longestStopMs(config.hook) + 10_000;
  const finishing = new Set<Promise<unknown>>();
  const closed = new AbortController();

  /** Runs on by itself; the answer is found under the operation's key. */
  const inBackground = (what: string, work: Promise<unknown>): void => {
    const tracked = work
      .catch((error: unknown) => log("error", `cannot ${what}`, { reason: reasonOf(error) }))
      .finally(() => finishing.delete(tracked));
    finishing.add(tracked);
  };

  const endedByItself = async (run: RunFacts, ending: Ending): Promise<void> => {
    const record = ownOperation("own-exit", run, 0);
    await note(context, (all) => withOperation(all, record));
    await finisher.finish(record, ending);
    onOwnEnd();
  };
  const keeper = createRunKeeper(context, machine, {
    onStop: () => {
      since = new Date().toISOString();
      void starter.giveWay();
    },
    onOwnEnd: (application, ending) => {
      telling = endedByItself(application.facts, ending);
      inBackground("tell of the end", telling);
    },
    onRestGone,
  });

  const onLeaseLost = (why: string): void => {
    if (config.hook.onLeaseLost !== "stop" || keeper.application === null) return;
    log("error", `${why}: the application is stopped, as the hook says`);
    inBackground(
      "stop",
      stopByItself("lease-lost", longestMs).then(() => undefined),
    );
  };

  const starter = createStarter({
    context,
    machine,
    keeper,
    recovered,
    closed: closed.signal,
    onLeaseLost,
    onOwnFailure: endedByItself,
  });

  /** How the last stop ended: a full disk keeps it from the journal. */
  let unrecorded: Ending | null = null;
  const endRun = async (
    record: OperationRecord,
    deadlineMs: number,
    {
      firstScan,
      untilAt,
      by = "stop",
    }: { firstScan?: ReturnType<typeof beginScan>; untilAt?: number; by?: "stop" | "platform" } = {},
  ): Promise<Ending> => {
    const { key, operation, epoch } = record;
    if (keeper.application === null && journal.facts.run?.end === null) {
      // Between the intent and the execution: whichever comes first decides whether there is something to stop.
      await starter.giveWay();
    }
    const { run } = journal.facts;
    let ending = run?.end ?? null;
    if (run !== null && ending !== null) {
      // The lease may name this run still: a start that was cut off, or one that could have been followed in its slot.
      if (record.late && run.endedBy !== "stop") await lease.end(run, 2_000);
      // Asked for in a life of the agent that did not see its end: gone by proof, but nobody knows how.
      const hasRun = run.endedBy !== "never-executed";
      if (!record.late && hasRun && ending.outcome === "already-stopped" && ending.exit === null)
        ending = { ...ending, outcome: "crashed-during-stop" };
    } else {
      const deadline = createDeadline(performance.now() + deadlineMs);
      ending = await keeper.stop({ key, operation, epoch, deadline, firstScan, by, kill: record.kill });
      unrecorded = ending;
    }
    await finisher.finish(record, ending, untilAt);
    return ending;
  };

  const beginScan = () => {
    const scan = keeper.application?.scan();
    scan?.catch(() => undefined);
    return scan;
  };

  const burnOnLease = async (record: OperationRecord): Promise<void> => {
    const { key, operation, epoch, grant } = record;
    await effects.record({ effect: "burn", operation, key, epoch }).catch(() => undefined);
    while (!(await lease.burn({ epoch, grant: grant ?? "", deadlineMs: burnTryMs }))) {
      if (closed.signal.aborted) return;
      await new Promise((resolve) => setTimeout(resolve, burnPauseMs).unref());
    }
    await finisher.finish(record, {
      outcome: "never-started",
      evidenceClass: "proven",
      exit: null,
      signals: [],
      phases: [],
      evidence: { treeGone: true, remaining: [], checks: [], bootId: self.bootId },
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
    await journal
      .update(
        (facts) => {
          const next = admit(facts);
          isNew = next !== facts;
          return next;
        },
        ({ operations: records }) => {
          const record = records[key];
          if (isNew && record !== undefined) begin(record);
        },
      )
      .catch((error: unknown) => {
        throw unrecordable(error);
      });
  };

  const stopByItself: Supervisor["stopByItself"] = async (by, deadlineMs) => {
    // A start that is being recorded begins with its record, and would begin behind our back.
    await journal.idle();
    await starter.giveWay();
    const application = keeper.application;
    if (application === null) return null;
    const record = ownOperation(by, application.facts, deadlineMs);
    log("info", "the application is stopped", { by, run: formatRun(application.facts.run) });
    const untilAt = performance.now() + deadlineMs;
    const firstScan = machine.state === "running" ? beginScan() : undefined;
    // On a disk that takes nothing the platform's stop goes on all the same: it ends us anyway.
    await journal
      .update((facts) => withOperation(facts, record))
      .catch((error: unknown) => log("error", "the stop cannot be recorded", { reason: reasonOf(error) }));
    const ending = by === platformStop ? "platform" : "stop";
    const ended = endRun(record, deadlineMs, { firstScan, untilAt, by: ending });
    // An end of the agent that joins waits for this receipt too.
    inBackground("stop", ended);
    return { key: record.key, ending: await ended };
  };

  const isOpen = (): boolean => machine.state === "running" && journal.facts.run?.open === true;
  const snapshot: Supervisor["snapshot"] = () => {
    const { run, epoch } = journal.facts;
    const isReady = run !== null && run.end === null && run.readyAt !== null;
    const ready = isReady && keeper.application?.ended === null;
    return { state: machine.state, epoch, run: run?.run ?? null, ready, open: isOpen() };
  };

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
        (record) => inBackground("stop", endRun(record, record.deadlineMs, { firstScan })),
      );
    },
    async start(verified, secrets) {
      const { command, epoch } = verified;
      const receivedAt = new Date().toISOString();
      const { operation, grant } = command;
      const hasSecrets = secrets.key !== undefined || Object.keys(secrets.environment).length > 0;
      const planned = await starter.plan({ epoch, operation, grant, hasSecrets });
      await accept(
        command.key,
        (facts) => {
          if (isEnding) throw new AppError("wrong-state", "cannot start: the agent is ending");
          return admitStart(facts, machine.state, verified, planned, receivedAt);
        },
        (record) => {
          since = new Date().toISOString();
          inBackground("start", starter.begin(record, planned, secrets));
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
      if (machine.state === "refused") machine.send("open");
    },
    async check(verified) {
      await journal.update((facts) => admitCheck(facts, machine.state, verified));
      return runCheck(config, keeper.application, verified.command.check);
    },
    async replaceKey(verified, key) {
      await journal.update((facts) => admitKeys(facts, verified));
      return keyServer.replace(key);
    },
    snapshot,
    async status() {
      const { run } = journal.facts;
      const living = run !== null && run.end === null ? run.run : null;
      return {
        placement: config.placement,
        instance,
        agentVersion,
        ...snapshot(),
        lease: await lease.status(living),
        waiting: describeWait({ state: machine.state, since, deadline: keeper.deadline, hook: config.hook }),
      };
    },
    isOpen,
    forward(signal) {
      const { root = null, ended = null } = keeper.application ?? {};
      if (root === null || ended !== null) return;
      signalProcess(root, signal).catch((error: unknown) =>
        log("warn", "a signal could not be passed on", { signal, reason: reasonOf(error) }),
      );
    },
    get lastExit() {
      if (keeper.application !== null) return null;
      const { run } = journal.facts;
      const end = run?.end ?? unrecorded;
      return end ? { exit: end.exit } : null;
    },
    resume() {
      const { application, abandoned, isElsewhere } = recovered;
      if (abandoned !== null)
        inBackground(
          "write the lease",
          lease.end(abandoned, 10_000).then(() => undefined),
        );
      if (application !== null) {
        keeper.keep(application);
        keyServer.resume(application.environment());
        if (!isElsewhere) lease.startRenewing(application.facts, onLeaseLost);
      }
      for (const record of Object.values(journal.facts.operations)) {
        finisher.resume(record);
        if (record.progress.state !== "open") continue;
        const elapsedMs = Math.max(0, Date.now() - Date.parse(record.receivedAt));
        const leftMs = Math.max(0, record.deadlineMs - elapsedMs);
        log("info", "an operation of an earlier life is taken up again", {
          key: record.key,
          kind: record.kind,
        });
        if (record.kind === "stop")
          inBackground(
            "stop",
            endRun(record, leftMs).then(() => undefined),
          );
        else if (record.kind === "burn") inBackground("burn", burnOnLease(record));
        else if (application !== null) inBackground("start", starter.resume(record));
      }
    },
    startByItself: () => starter.startByItself(),
    stopByItself,
    async shutDown() {
      isEnding = true;
      const endsAt = performance.now() + config.platformGraceMs;
      keeper.deadline?.shrinkTo(endsAt);
      // A last word must be out before the platform's end.
      context.patience.endsAt = endsAt - Math.min(1_000, config.platformGraceMs / 5);
      await stopByItself(platformStop, config.platformGraceMs).catch((error: unknown) =>
        log("error", "the stop has no receipt", { reason: reasonOf(error) }),
      );
      isEnding = keeper.application === null;
      if (isEnding) closed.abort();
      else context.patience.endsAt = Number.POSITIVE_INFINITY;
      await Promise.all(finishing);
      return keeper.application === null;
    },
    async close() {
      closed.abort();
      finisher.close();
      keeper.release();
      lease.stopRenewing();
      context.confirmations.close();
      await keyServer.end();
      await telling.catch(() => undefined);
      await journal.idle();
    },
  };
}
