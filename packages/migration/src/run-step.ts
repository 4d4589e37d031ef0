import type { Decision } from "@baton/protocol";
import type { Engine, StepResult } from "./engine.port.ts";
import type { FaultPoint, Faults, Progress } from "./progress.port.ts";
import type { Deadline, Step, StepContext, UndoContext } from "./saga.ts";

/** Pauses between attempts of what must succeed (undos, steps after the pivot, records), in ms; then it is given up. */
export const pausesMs = [250, 500, 1_000, 2_000, 4_000] as const;
export const intendDeadlineMs = 30_000;

/** One operation's life: what it is about, and what the journal gave back so far. */
export interface Run {
  readonly operation: string;
  readonly input: unknown;
  readonly ports: unknown;
  readonly engine: Engine;
  readonly progress: Progress;
  readonly faults: Faults;
  readonly done: Record<string, unknown>;
  readonly intents: Record<string, unknown>;
  /** How often a step, or the undo of one, was tried so far. */
  readonly tries: Record<string, number>;
  override: Decision | null;
  halts: number;
}

export type AnyContext = StepContext<unknown, unknown, unknown, unknown>;
type AnyUndoContext = UndoContext<unknown, unknown, unknown, unknown, unknown>;
type Work<C> = (ctx: C) => Promise<unknown>;

export const contextOf = (run: Run, step: Step, attempt: number, signal: AbortSignal): AnyContext => ({
  operation: run.operation,
  input: run.input,
  ports: run.ports,
  done: run.done,
  intent: run.intents[step.name],
  attempt,
  override: run.override,
  signal,
});

const countTry = (run: Run, what: string): number => {
  const count = (run.tries[what] ?? 0) + 1;
  run.tries[what] = count;
  return count;
};

/**
 * The phases of a step, each recorded by itself: intend, run, then for a confirmed step the message and its judgement.
 *
 * @param mayStop whether it ends at once when somebody wants the operation taken back.
 */
export async function doStep(run: Run, step: Step, mayStop: boolean): Promise<StepResult<unknown>> {
  const { engine, progress } = run;
  const attempt = countTry(run, step.name);
  const name = attempt === 1 ? step.name : `${step.name}#${attempt}`;
  const context = (signal: AbortSignal): AnyContext => contextOf(run, step, attempt, signal);
  const interruption = mayStop ? () => progress.interruption() : undefined;
  const failed = async (result: StepResult<unknown> & { ok: false }) => {
    await record(run, `${name}.failed`, () =>
      progress.step({ name: step.name, state: "failed", detail: result.error.detail }),
    );
    return result;
  };

  if (step.intend !== undefined) {
    const intend = step.intend as unknown as Work<AnyContext>;
    const intending = (signal: AbortSignal): Promise<unknown> =>
      whileTelling(progress.step({ name: step.name, state: "running" }), () => intend(context(signal)));
    const intent = await engine.step(`${name}.intend`, intendDeadlineMs, intending, interruption);
    if (!intent.ok) return failed(intent);
    run.intents[step.name] = intent.value;
  }

  const doing = step.run as unknown as Work<AnyContext>;
  const deadlineMs = msOf(step.deadlineMs, run.input);
  const ask = async (signal: AbortSignal): Promise<unknown> => {
    const value = await whileTelling(progress.step({ name: step.name, state: "running" }), () =>
      between(run.faults, { step: step.name, phase: "do", attempt }, () => doing(context(signal))),
    );
    if (step.confirm === undefined) await progress.step({ name: step.name, state: "done" });
    return value;
  };
  const asked = await engine.step(name, deadlineMs, ask, interruption);
  if (!asked.ok) return failed(asked);
  if (step.confirm === undefined) return asked;

  const confirm = step.confirm as unknown as {
    topic: (ctx: AnyContext, asked: unknown) => string;
    deadlineMs: (ctx: AnyContext) => number;
    settle: (ctx: AnyContext, asked: unknown, message: unknown) => Promise<unknown>;
  };
  const idle = context(new AbortController().signal);
  const message = await engine.receive(
    `${name}.message`,
    confirm.topic(idle, asked.value),
    confirm.deadlineMs(idle),
  );
  const settle = async (signal: AbortSignal): Promise<unknown> => {
    const value = await confirm.settle(context(signal), asked.value, message);
    await progress.step({ name: step.name, state: "done" });
    return value;
  };
  const settled = await engine.step(`${name}.settle`, deadlineMs, settle, interruption);
  return settled.ok ? settled : failed(settled);
}

/** An undo's phases: intend, then run. */
export async function undoStep(run: Run, step: Step): Promise<StepResult<unknown>> {
  const attempt = countTry(run, `${step.name}.undo`);
  const name = `${step.name}.undo#${attempt}`;
  const { engine, progress } = run;
  const undo = step.undo as unknown as {
    intend?: Work<AnyUndoContext>;
    run: Work<AnyUndoContext>;
    deadlineMs: Deadline<never>;
  };
  const deadlineMs = msOf(undo.deadlineMs, run.input);
  const context = (signal: AbortSignal, intent: unknown): AnyUndoContext => ({
    ...contextOf(run, step, attempt, signal),
    done: run.done as Partial<unknown>,
    intents: run.intents as Partial<unknown>,
    intent,
  });
  let intent: unknown;
  if (undo.intend !== undefined) {
    const intend = undo.intend;
    const planned = await engine.step(`${name}.intend`, deadlineMs, async (signal) => {
      await progress.step({ name: step.name, state: "undoing" });
      return intend(context(signal, undefined));
    });
    if (!planned.ok) return undoFailed(planned);
    intent = planned.value;
  }
  const undone = await engine.step(name, deadlineMs, async (signal) => {
    await progress.step({ name: step.name, state: "undoing" });
    await between(run.faults, { step: step.name, phase: "undo", attempt }, () =>
      undo.run(context(signal, intent)),
    );
    await progress.step({ name: step.name, state: "undone" });
    return null;
  });
  return undone.ok ? undone : undoFailed(undone);

  async function undoFailed(result: StepResult<unknown> & { ok: false }) {
    await record(run, `${name}.failed`, () =>
      progress.step({ name: step.name, state: "undo-failed", detail: result.error.detail }),
    );
    return result;
  }
}

const msOf = (deadline: Deadline<never>, input: unknown): number =>
  typeof deadline === "number" ? deadline : deadline(input as never);

/** That a step runs is told while it runs: the application is down meanwhile. Both have ended when this returns or throws. */
async function whileTelling<T>(telling: Promise<void>, work: () => Promise<T>): Promise<T> {
  const [worked, told] = await Promise.allSettled([work(), telling]);
  if (worked.status === "rejected") throw worked.reason;
  if (told.status === "rejected") throw told.reason;
  return worked.value;
}

async function between<T>(
  faults: Faults,
  point: Omit<FaultPoint, "moment">,
  work: () => Promise<T>,
): Promise<T> {
  await faults.reach({ ...point, moment: "before" });
  const value = await work();
  await faults.reach({ ...point, moment: "after" });
  return value;
}

/**
 * Writes what nothing else can be right without. @throws when it is not there after all attempts: the engine then fails the operation,
 * and the sweep halts it.
 */
export async function record<T>(run: Run, name: string, write: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const result = await run.engine.step(
      attempt === 1 ? name : `${name}#${attempt}`,
      intendDeadlineMs,
      write,
    );
    if (result.ok) return result.value;
    const pause = pausesMs[attempt - 1];
    if (pause === undefined) throw new Error(`cannot record ${name}: ${result.error.detail}`);
    await run.engine.sleep(`${name}#${attempt}.pause`, pause);
  }
}
