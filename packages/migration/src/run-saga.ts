import { type ErrorCode, errorTable } from "@baton/protocol";
import type { Engine, RecordedError } from "./engine.port.ts";
import type { Faults, Progress, SagaEnd } from "./progress.port.ts";
import { type Run, doStep, pausesMs, record, undoStep } from "./run-step.ts";
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

/**
 * Interprets a saga's table on a durable engine: forward to the end, or back to where it began, or halted. Called again after a crash with the
 * same journal it goes on where it was. A failing step is no exception; what it throws is the engine's own failure.
 */
export async function runSaga<Input, Ports>(params: RunSagaParams<Input, Ports>): Promise<SagaEnd> {
  const run: Run = { ...params, done: {}, intents: {} };
  const started: Step[] = [];
  let pastPivot = false;
  for (const step of params.saga.steps) {
    started.push(step);
    let result = await doStep(run, step, 1);
    if (!result.ok && !pastPivot) {
      const reason = { ...result.error, detail: `${step.name} failed: ${result.error.detail}` };
      const answer = await record(run, `${step.name}.rollback`, () => run.progress.beginRollback(reason));
      if (answer !== "committed") return takeBack(run, started, reason);
    }
    for (const [index, pauseMs] of pausesMs.entries()) {
      if (result.ok) break;
      await run.engine.sleep(`${step.name}#${index + 2}.pause`, pauseMs);
      result = await doStep(run, step, index + 2);
    }
    if (!result.ok) {
      const detail = `${step.name} failed after the point of no return: ${result.error.detail}`;
      return end(run, { state: "halted", reason: { ...result.error, detail } });
    }
    run.done[step.name] = result.value;
    pastPivot ||= step.pivot;
  }
  return end(run, { state: "committed" });
}

async function takeBack(run: Run, started: readonly Step[], reason: RecordedError): Promise<SagaEnd> {
  for (const step of started.toReversed()) {
    if (step.undo === undefined) continue;
    let result = await undoStep(run, step, 1);
    for (const [index, pauseMs] of pausesMs.entries()) {
      if (result.ok || !mayPass(result.error)) break;
      await run.engine.sleep(`${step.name}.undo#${index + 2}.pause`, pauseMs);
      result = await undoStep(run, step, index + 2);
    }
    if (!result.ok) {
      const { code, detail } = result.error;
      const both = `${reason.detail}; then the undo of ${step.name} failed: ${detail}`;
      return end(run, { state: "halted", reason: { code, detail: both } });
    }
  }
  return end(run, { state: "rolled-back", reason });
}

/** Trying again helps only where the cause may pass by itself; an evidence that is missing does not appear by asking. */
function mayPass(error: RecordedError): boolean {
  const entry = Object.hasOwn(errorTable, error.code)
    ? errorTable[error.code as ErrorCode]
    : errorTable.internal;
  return entry.retry === "after" || error.code === "injected-fault";
}

async function end(run: Run, result: SagaEnd): Promise<SagaEnd> {
  await record(run, "end", () => run.progress.end(result));
  return result;
}
