import { type ErrorCode, errorTable } from "@baton/protocol";
import type { Engine, RecordedError } from "./engine.port.ts";
import { halt } from "./halt.ts";
import type { Faults, Progress, SagaEnd } from "./progress.port.ts";
import { type Run, contextOf, doStep, pausesMs, record, undoStep } from "./run-step.ts";
import type { Saga, Step } from "./saga.ts";

export interface RunSagaParams<Input, Ports> {
  readonly saga: Saga<Input, Ports>;
  readonly operation: string;
  readonly input: Input;
  readonly ports: Ports;
  readonly engine: Engine;
  readonly progress: Progress;
  readonly faults: Faults;
}

/** What follows a step that failed before the pivot. */
type Turn =
  | { readonly kind: "again" | "past-pivot" }
  /** With something else in the place of what the step did not bring. */
  | { readonly kind: "on"; readonly value: unknown }
  | { readonly kind: "end"; readonly end: SagaEnd };

/**
 * Interprets a saga's table on a durable engine: forward to the end, or back to where it began; halted where only a person can say how it
 * goes on. Called again after a crash with the same journal it goes on where it was. A failing step is no exception; what it throws is the
 * engine's own failure.
 */
export async function runSaga<Input, Ports>(params: RunSagaParams<Input, Ports>): Promise<SagaEnd> {
  const run: Run = { ...params, done: {}, intents: {}, tries: {}, override: null, halts: 0 };
  const { steps } = params.saga;
  let pastPivot = false;
  let at = 0;
  for (let step = steps[at]; step !== undefined; step = steps[at]) {
    let result = pastPivot ? await keepTrying(run, step) : await tryAsAgreed(run, step);
    if (!result.ok && !pastPivot) {
      const turn = await afterFailure(run, steps.slice(0, at + 1), step, result.error);
      if (turn.kind === "end") return turn.end;
      if (turn.kind === "again") continue;
      result = turn.kind === "on" ? { ok: true, value: turn.value } : await keepTrying(run, step);
    }
    if (!result.ok) {
      const detail = `${step.name} failed after the point of no return: ${result.error.detail}`;
      const reason = { ...result.error, detail };
      // The pivot may have happened in this very step.
      if ((await halt(run, reason, "past-pivot")) === null) return { state: "halted", reason };
      pastPivot = true;
      continue;
    }
    run.done[step.name] = result.value;
    pastPivot ||= step.pivot;
    at += 1;
  }
  return endedBy(run, { state: "committed" });
}

/** As often as the step's own settings say. */
async function tryAsAgreed(run: Run, step: Step) {
  const { count, pauseMs } = step.attempts?.(run.input as never) ?? { count: 1, pauseMs: 0 };
  let result = await doStep(run, step, true);
  for (let tried = 1; tried < count && !result.ok && result.error.code !== "aborted"; tried += 1) {
    await run.engine.sleep(`${step.name}#${run.tries[step.name]}.pause`, pauseMs);
    result = await doStep(run, step, true);
  }
  return result;
}

/** What must succeed, since there is no way back. */
async function keepTrying(run: Run, step: Step) {
  let result = await doStep(run, step, false);
  for (const pauseMs of pausesMs) {
    if (result.ok) break;
    await run.engine.sleep(`${step.name}#${run.tries[step.name]}.pause`, pauseMs);
    result = await doStep(run, step, false);
  }
  return result;
}

async function afterFailure(
  run: Run,
  started: readonly Step[],
  step: Step,
  error: RecordedError,
): Promise<Turn> {
  const reason = { ...error, detail: `${step.name} failed: ${error.detail}` };
  const value = insteadOf(run, step, error);
  if (value !== null) return { kind: "on", value };
  if (error.code !== "aborted" && step.onFailure?.(run.input as never) === "halt") {
    const decision = await halt(run, reason, "forward");
    if (decision === null) return { kind: "end", end: { state: "halted", reason } };
    if (decision.kind === "resume") return { kind: "again" };
    if (decision.kind === "override") return afterFailure(run, started, step, error);
  }
  const name = `${step.name}#${run.tries[step.name]}.rollback`;
  if ((await record(run, name, () => run.progress.beginRollback(reason))) === "committed")
    return { kind: "past-pivot" };
  return takeBack(run, started, step, reason, error);
}

const insteadOf = (run: Run, step: Step, error: RecordedError): unknown =>
  error.code === "aborted"
    ? null
    : (step.instead?.(contextOf(run, step, 1, new AbortController().signal) as never, error) ?? null);

async function takeBack(
  run: Run,
  started: readonly Step[],
  failed: Step,
  reason: RecordedError,
  error: RecordedError,
): Promise<Turn> {
  for (const step of started.toReversed()) {
    if (step.undo === undefined) continue;
    for (let result = await keepUndoing(run, step); !result.ok; result = await keepUndoing(run, step)) {
      const { code, detail } = result.error;
      const both = { code, detail: `${reason.detail}; then the undo of ${step.name} failed: ${detail}` };
      const value = (): unknown => (step === failed ? insteadOf(run, step, error) : null);
      const decision = await halt(run, both, "back", () => value() !== null);
      if (decision === null) return { kind: "end", end: { state: "halted", reason: both } };
      const instead = decision.kind === "override" ? value() : null;
      if (instead !== null) return { kind: "on", value: instead };
    }
  }
  return { kind: "end", end: await endedBy(run, { state: "rolled-back", reason }) };
}

async function keepUndoing(run: Run, step: Step) {
  let result = await undoStep(run, step);
  for (const pauseMs of pausesMs) {
    if (result.ok || !mayPass(result.error)) break;
    await run.engine.sleep(`${step.name}.undo#${run.tries[`${step.name}.undo`]}.pause`, pauseMs);
    result = await undoStep(run, step);
  }
  return result;
}

/**
 * Trying again helps only where the cause may pass by itself; an evidence that is missing does not appear by asking. What was to serve again and did not
 * come up may come up the next time.
 */
function mayPass(error: RecordedError): boolean {
  if (error.code === "application-not-ready" || error.code === "application-exited") return true;
  const entry = Object.hasOwn(errorTable, error.code)
    ? errorTable[error.code as ErrorCode]
    : errorTable.internal;
  return entry.retry === "after" || error.code === "injected-fault";
}

async function endedBy(run: Run, end: SagaEnd): Promise<SagaEnd> {
  await record(run, "end", () => run.progress.end(end));
  return end;
}
