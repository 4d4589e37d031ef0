import {
  type AgentState,
  AppError,
  type Run,
  commandKey,
  isAppError,
  newNonce,
  newOperationId,
} from "@baton/protocol";
import type { AgentContext } from "./agent-context.ts";
import { errorCode } from "./durable-file.ts";
import type { OperationRecord, RunFacts } from "./facts.ts";
import { isForKrake } from "./krake-ending.ts";
import type { Recovered } from "./recover.ts";

/** A stop that nobody ordered by a command: nobody waits for its confirmation. `by` becomes part of its key. */
export const ownOperation = (by: string, run: RunFacts, deadlineMs: number): OperationRecord => {
  const operation = newOperationId();
  return {
    key: commandKey({ operation, step: by, attempt: 1, run: run.run }),
    kind: "stop",
    operation,
    epoch: run.epoch,
    run: run.run,
    grant: null,
    receivedAt: new Date().toISOString(),
    deadlineMs,
    late: false,
    progress: { state: "open" },
    confirmation: "none",
    copy: "pending",
  };
};

/** What a run is before anything of it happened. */
export const plannedRun = (
  params: Pick<RunFacts, "epoch" | "operation" | "grant" | "hasSecrets" | "noNewPrivileges"> & {
    readonly context: AgentContext;
    readonly counter: number;
    readonly open?: boolean;
  },
): RunFacts => {
  const { context, counter, open = false, ...known } = params;
  const { config, instance, self, pidNamespace } = context;
  return {
    ...known,
    run: { placement: config.placement, instance, counter },
    slot: config.slot,
    container: null,
    cookie: `${config.placement}:${newNonce()}`,
    bootId: self.bootId,
    pidNamespace,
    since: self.startTime,
    process: null,
    readyAt: null,
    open,
    end: null,
    endedBy: null,
  };
};

export interface OwnStart {
  readonly record: OperationRecord;
  readonly planned: RunFacts;
  readonly successorOf: Run | null;
}

/**
 * The start that needs no command: with no lease at all, or of the run that follows another one in its slot (rule 2). Null: it waits for a
 * grant. A stop burns its run, so what was stopped never starts by itself again; without a lease that holds until the container is new.
 */
export function ownStart(params: {
  readonly context: AgentContext;
  readonly recovered: Recovered;
  readonly state: AgentState;
  readonly counter: number;
  readonly noNewPrivileges: boolean;
}): OwnStart | null {
  const { context, recovered, state, counter, noNewPrivileges } = params;
  const { config, journal, log } = context;
  const { run: last } = journal.facts;
  // The platform ended the container and starts it again: without a lease there is nobody else who may.
  const isBack = state === "stopped" && last?.endedBy === "platform" && config.storage === null;
  const canStart =
    isBack ||
    state === "held" ||
    state === "crashed" ||
    (state === "stopped" && context.executor.claimedOnly);
  if (config.start !== "immediately" || !canStart) return null;
  // An application that somebody else executes is only watched: what runs must be seen.
  if (isForKrake(journal.facts) && !context.executor.claimedOnly) {
    log("info", "held: a Krake ordered the stop, and would have two copies");
    return null;
  }
  const { successorOf } = recovered;
  if (config.storage !== null && successorOf === null) {
    log("info", "held: the application starts with a grant only");
    return null;
  }
  const before = journal.facts.run;
  const operation = newOperationId();
  const epoch = before?.epoch ?? journal.facts.epoch;
  const planned = plannedRun({
    context,
    counter,
    epoch,
    operation,
    grant: null,
    hasSecrets: false,
    noNewPrivileges,
    open: config.storage === null || before?.open === true,
  });
  const record: OperationRecord = {
    key: commandKey({ operation, step: "agent-start", attempt: 1, run: planned.run }),
    kind: "start",
    operation,
    epoch,
    run: null,
    grant: null,
    receivedAt: new Date().toISOString(),
    deadlineMs: config.readiness?.timeoutMs ?? 30_000,
    late: false,
    progress: { state: "open" },
    confirmation: "none",
    copy: "none",
  };
  return { record, planned, successorOf };
}

/** A command that cannot be recorded is refused: its receipt could not be either. */
export function unrecordable(error: unknown): unknown {
  const code = isAppError(error) ? undefined : errorCode(error);
  if (code === undefined) return error;
  return new AppError(
    "agent-failed",
    `cannot accept the command: the agent's state directory takes no write (${code}); make room or mend it, then send the command again`,
    { cause: error },
  );
}
