import type { Decision } from "@baton/protocol";
import type { RecordedError } from "./engine.port.ts";

/** What a step's functions are given. `done` and `intent` are what earlier phases returned, read back from the journal after a crash. */
export interface StepContext<Input, Ports, Done, Intent = undefined> {
  readonly operation: string;
  readonly input: Input;
  readonly ports: Ports;
  readonly done: Done;
  /** What this phase's own `intend` returned: nonces and expectations that were written down before the effect. */
  readonly intent: Intent;
  /** 1 for the first; what is tried anew has another key (safety rule 14). */
  readonly attempt: number;
  /** Who answers for the evidence that is missing; null: nobody, so nothing may pass without. */
  readonly override: Decision | null;
  /** Aborted when the phase's deadline passes, or when somebody wants the operation taken back. */
  readonly signal: AbortSignal;
}

/** What an undo sees: any step before it may be half done, so every output and intent may be missing. */
export interface UndoContext<Input, Ports, Done, Intents, Intent = undefined> extends StepContext<
  Input,
  Ports,
  Partial<Done>,
  Intent
> {
  readonly intents: Partial<Intents>;
}

/** A step that ends with a durable message: `run` asks, the message answers, `settle` judges it (null when none came in time). */
export interface Confirmation<Input, Ports, Done, Intent, Asked, Out> {
  readonly topic: (ctx: StepContext<Input, Ports, Done, Intent>, asked: Asked) => string;
  readonly deadlineMs: (ctx: StepContext<Input, Ports, Done, Intent>) => number;
  readonly settle: (
    ctx: StepContext<Input, Ports, Done, Intent>,
    asked: Asked,
    message: unknown,
  ) => Promise<Out>;
}

/** In ms; a function where the application's own settings say how long the phase may take. */
export type Deadline<Input> = number | ((input: Input) => number);

export interface Undo<Input, Ports, Done, Intents, Intent> {
  readonly intend?: (ctx: UndoContext<Input, Ports, Done, Intents>) => Promise<Intent>;
  readonly run: (ctx: UndoContext<Input, Ports, Done, Intents, Intent>) => Promise<void>;
  /** Of each of its phases. */
  readonly deadlineMs: Deadline<Input>;
}

/** How often a step is tried before it has failed, with a pause in between in ms. */
export interface Attempts {
  readonly count: number;
  readonly pauseMs: number;
}

/** A step as the interpreter and the generated tests see it; the builder below has checked the types. */
export interface Step {
  readonly name: string;
  readonly pivot: boolean;
  readonly deadlineMs: Deadline<never>;
  readonly intend: ((ctx: never) => Promise<unknown>) | undefined;
  readonly run: (ctx: never) => Promise<unknown>;
  readonly confirm: Confirmation<never, never, never, never, never, unknown> | undefined;
  readonly attempts: ((input: never) => Attempts) | undefined;
  readonly instead: ((ctx: never, error: RecordedError) => unknown) | undefined;
  readonly onFailure: ((input: never) => "take-back" | "halt") | undefined;
  readonly undo:
    | {
        readonly intend?: (ctx: never) => Promise<unknown>;
        readonly run: (ctx: never) => Promise<void>;
        readonly deadlineMs: Deadline<never>;
      }
    | undefined;
}

export interface Saga<Input, Ports> {
  readonly name: string;
  readonly steps: readonly Step[];
  /** Never set: carries the types of what the steps need. */
  readonly needs?: (input: Input, ports: Ports) => void;
}

interface Options<I, P, D, N, Name extends string, Out, U> {
  readonly deadlineMs: Deadline<I>;
  readonly intend?: (ctx: StepContext<I, P, D>) => Promise<N>;
  readonly undo?: Undo<I, P, D & Record<Name, Out>, Record<string, unknown>, U>;
  /** Once unless said. */
  readonly attempts?: (input: I) => Attempts;
  /** What to go on with in the place of a result that did not come; null: the step has failed. Asked anew in every life, so it may do nothing. */
  readonly instead?: (ctx: StepContext<I, P, D, N>, error: RecordedError) => Out | null;
  /** `halt`: a person decides what follows, in the place of taking back. */
  readonly onFailure?: (input: I) => "take-back" | "halt";
}

type Fresh<Name extends string, D> = Name extends keyof D ? never : Name;

/** Steps before the point of no return: they may have an undo. */
export class BeforePivot<I, P, D extends object> implements Saga<I, P> {
  readonly name: string;
  readonly steps: readonly Step[];
  constructor(name: string, steps: readonly Step[]) {
    this.name = name;
    this.steps = steps;
  }

  step<Name extends string, Out, N = undefined, U = undefined>(
    name: Fresh<Name, D>,
    run: (ctx: StepContext<I, P, D, N>) => Promise<Out>,
    options: Options<I, P, D, N, Name, Out, U>,
  ): BeforePivot<I, P, D & Record<Name, Out>> {
    return this.#with({ ...revocable(options), name, run, confirm: undefined });
  }

  /** A step whose result is a message from outside, awaited durably. */
  confirmed<Name extends string, Asked, Out, N = undefined, U = undefined>(
    name: Fresh<Name, D>,
    run: (ctx: StepContext<I, P, D, N>) => Promise<Asked>,
    confirm: Confirmation<I, P, D, N, Asked, Out>,
    options: Options<I, P, D, N, Name, Out, U>,
  ): BeforePivot<I, P, D & Record<Name, Out>> {
    return this.#with({ ...revocable(options), name, run, confirm });
  }

  #with<Done extends object>(step: Step): BeforePivot<I, P, Done> {
    return new BeforePivot(this.name, [...this.steps, step]);
  }

  /** The point of no return: when it has happened, only forward. */
  pivot<Name extends string, Out>(
    name: Fresh<Name, D>,
    run: (ctx: StepContext<I, P, D>) => Promise<Out>,
    options: { readonly deadlineMs: Deadline<I> },
  ): AfterPivot<I, P, D & Record<Name, Out>> {
    return new AfterPivot(this.name, [...this.steps, forwardOnly(name, run, options.deadlineMs, true)]);
  }
}

/** Steps after the point of no return: there is no way to give them an undo. */
export class AfterPivot<I, P, D extends object> implements Saga<I, P> {
  readonly name: string;
  readonly steps: readonly Step[];
  constructor(name: string, steps: readonly Step[]) {
    this.name = name;
    this.steps = steps;
  }

  step<Name extends string, Out>(
    name: Fresh<Name, D>,
    run: (ctx: StepContext<I, P, D>) => Promise<Out>,
    options: { readonly deadlineMs: Deadline<I> },
  ): AfterPivot<I, P, D & Record<Name, Out>> {
    return new AfterPivot(this.name, [...this.steps, forwardOnly(name, run, options.deadlineMs, false)]);
  }
}

/** A step's options as the interpreter reads them. */
function revocable<I, P, D, N, Name extends string, Out, U>(options: Options<I, P, D, N, Name, Out, U>) {
  const { deadlineMs, intend, undo, attempts, instead, onFailure } = options;
  return { deadlineMs, intend, undo, attempts, instead, onFailure, pivot: false };
}

function forwardOnly(
  name: string,
  run: (ctx: never) => Promise<unknown>,
  deadlineMs: Deadline<never>,
  pivot: boolean,
): Step {
  const once = { intend: undefined, undo: undefined, confirm: undefined, attempts: undefined };
  return { ...once, name, run, deadlineMs, pivot, instead: undefined, onFailure: undefined };
}

export const saga = <I, P>(name: string): BeforePivot<I, P, Record<never, never>> =>
  new BeforePivot(name, []);
