import {
  AppError,
  type Run,
  type StartBody,
  isAppError,
  longestStopMs,
  sameRun,
  toAppError,
  toProblem,
} from "@baton/protocol";
import { type AgentContext, note } from "./agent-context.ts";
import type { StateMachine } from "./agent-state.ts";
import type { Application } from "./application.ts";
import { createDeadline } from "./deadline.ts";
import {
  type Facts,
  type OperationRecord,
  type RunFacts,
  changeOperation,
  changeRun,
  neverExecuted,
} from "./facts.ts";
import { type ReadinessResult, waitUntilReady } from "./readiness.ts";
import type { RunKeeper } from "./run-keeper.ts";

const leaseRunMs = 10_000;
const observeMs = 1_000;

export interface StartParams {
  readonly context: AgentContext;
  readonly machine: StateMachine;
  readonly keeper: RunKeeper;
  readonly record: OperationRecord;
  /** Aborts when a stop comes or the agent ends. */
  readonly abort: AbortSignal;
  readonly onLeaseLost: (why: string) => void;
}

export interface Executed {
  readonly application: Application;
  /** ISO 8601. */
  readonly execAt: string;
  /** The same moment on the clock of `performance.now()`. */
  readonly executedAt: number;
}

/**
 * Turns the grant into the run, then executes it. Every step is recorded before it is done.
 *
 * @returns null when the application was not executed, and never will be by this grant; the operation has failed then
 */
export async function executeRun(
  params: StartParams & {
    readonly planned: RunFacts;
    readonly secrets: StartBody;
    /** The run that this one follows in the same slot, instead of a grant. */
    readonly successorOf: Run | null;
  },
): Promise<Executed | null> {
  const { context, machine, keeper, record, planned, secrets, successorOf, abort } = params;
  const { lease, effects, self, keyServer } = context;
  const deadlineAt = performance.now() + record.deadlineMs;

  const giveUp = async (error: unknown): Promise<null> => {
    await keyServer.end();
    const end = neverExecuted(self.bootId, new Date().toISOString());
    const run: RunFacts = { ...planned, end, endedBy: "never-executed" };
    await note(context, (facts) => failed({ ...facts, starting: null, run }, record.key, error));
    machine.end("died", end.evidence);
    context.operations.changed(record.key);
    await lease.end(run, 2_000);
    return null;
  };

  try {
    const limitMs = Math.min(leaseRunMs, record.deadlineMs);
    if (successorOf === null) await lease.take(planned, limitMs);
    else await lease.restart(planned, successorOf, limitMs);
  } catch (error) {
    // Any other answer leaves open whether the grant was used: then this start counts as a run that never came to be.
    if (!isAppError(error) || !["grant-refused", "deadline-exceeded"].includes(error.code))
      return giveUp(error);
    await note(context, (facts) => failed({ ...facts, starting: null }, record.key, error));
    machine.send("startRefused");
    context.operations.changed(record.key);
    return null;
  }

  await note(context, (facts) =>
    facts.starting === null && sameRun(facts.run?.run ?? null, planned.run)
      ? facts
      : { ...facts, starting: null, run: planned },
  );
  // Whoever sent the command may have stopped waiting, and must not be surprised by a start.
  if (performance.now() > deadlineAt)
    return giveUp(
      new AppError("deadline-exceeded", "cannot start: the deadline passed before the execution"),
    );
  if (abort.aborted)
    return giveUp(new AppError("wrong-state", "cannot start: a stop came before the execution"));

  const execAt = new Date().toISOString();
  const executedAt = performance.now();
  let application: Application;
  try {
    const { environment, key } = secrets;
    const told = key === undefined ? {} : await keyServer.serve(key);
    application = await context.executor.execute(planned, { ...environment, ...told });
  } catch (error) {
    if (isAppError(error)) return giveUp(error);
    // The reason stays here: Node's words quote the environment, which holds the data keys.
    return giveUp(
      new AppError("agent-failed", "cannot start: the application cannot be executed with this environment"),
    );
  }
  keeper.keep(application);
  lease.startRenewing(planned, params.onLeaseLost);
  const { operation, key, epoch } = record;
  await effects.record({ effect: "exec", operation, key, epoch }).catch(() => undefined);
  return { application, execAt, executedAt };
}

/** Waits until an executed run can serve; ends it when it cannot. The operation is over afterwards. */
export async function bringUp(params: StartParams & Executed): Promise<void> {
  const { context, machine, keeper, record, application, abort, execAt, executedAt } = params;
  const { config, operations } = context;
  const { root } = application;

  const written =
    root === null
      ? Promise.resolve(context.journal.facts)
      : note(context, (facts) =>
          changeRun(facts, {
            process: { pid: root.pid, startTime: root.startTime, execAt },
            since: root.startTime,
            container: application.facts.container,
          }),
        );
  const { readiness, applicationPort } = config;
  const limitMs = Math.min(readiness?.timeoutMs ?? record.deadlineMs, record.deadlineMs);
  const result =
    readiness === null || applicationPort === null
      ? notAsked(application, abort)
      : await waitUntilReady({
          application,
          port: applicationPort,
          path: readiness.path,
          timeoutMs: limitMs - (performance.now() - executedAt),
          signal: abort,
        });
  const readyAt = new Date().toISOString();
  const startMs = performance.now() - executedAt;
  await written;

  const overtaken = new AppError(
    "wrong-state",
    "cannot finish the start: a stop came before the application was ready",
  );
  if (result === "ready") {
    const { run } = application.facts;
    await note(context, (facts) => {
      if (machine.state !== "starting") return failed(facts, record.key, overtaken);
      const progress = { state: "started", result: { run, execAt, readyAt, startMs } } as const;
      return changeRun(changeOperation(facts, record.key, { progress }), { readyAt });
    });
    if (machine.state === "starting") machine.send("ready");
    // It may have ended between its answer and now, while nobody looked.
    keeper.noticeExit();
    // A process that later hides its mark (setproctitle) and leaves its kin is found again only if it was seen before.
    setTimeout(() => void keeper.observe(application).catch(() => undefined), observeMs).unref();
  } else if (result === "aborted") {
    await note(context, (facts) => failed(facts, record.key, overtaken));
  } else {
    const { key, operation, epoch } = record;
    const deadline = createDeadline(performance.now() + longestStopMs(config.hook) + 10_000);
    const by = result === "exited" ? "itself" : "stop";
    const ending = await keeper.stop({ key, operation, epoch, deadline, by });
    const rest = ending.evidence.treeGone ? "" : "; not all of its processes could be ended";
    const error =
      result === "exited"
        ? new AppError(
            "application-exited",
            `cannot start: the application exited (${inWords(application)}) before it was ready${rest}`,
          )
        : new AppError(
            "application-not-ready",
            `cannot start: the application was not ready within ${Math.round(limitMs)} ms${rest}`,
          );
    await note(context, (facts) => failed(facts, record.key, error));
  }
  operations.changed(record.key);
}

export const failed = (facts: Facts, key: string, error: unknown): Facts =>
  changeOperation(facts, key, { progress: { state: "failed", problem: toProblem(toAppError(error)) } });

/** Without a path to ask, an application is ready once it was executed. */
function notAsked({ ended }: Application, abort: AbortSignal): ReadinessResult {
  if (abort.aborted) return "aborted";
  return ended === null ? "ready" : "exited";
}

function inWords({ ended }: Application): string {
  const exit = ended?.exit ?? null;
  if (exit === null) return "status unknown";
  const { code, signal } = exit;
  return signal === null ? `exit code ${code}; see the application's log` : `by ${signal}`;
}
