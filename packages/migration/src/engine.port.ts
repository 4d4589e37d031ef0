/**
 * A durable engine, as far as a saga needs one. Calls are made in the same order with the same names in every life of an operation.
 */
export interface Engine {
  /**
   * Runs `work` and records what it returned; once recorded, later lives get the record and `work` is not run again. A crash in between runs it
   * again. What it returns must be JSON. `signal` is aborted after `deadlineMs`, and the step then fails with `deadline-exceeded`; it is aborted
   * as well once `interruption`, asked again and again while `work` goes on, resolves with why, and the step fails with that.
   */
  step<T>(
    name: string,
    deadlineMs: number,
    work: (signal: AbortSignal) => Promise<T>,
    interruption?: () => Promise<RecordedError | null>,
  ): Promise<StepResult<T>>;
  /** The next message of the topic, also one sent before; null after `timeoutMs`, counted over crashes. `Infinity`: for a person, who has no deadline. */
  receive(name: string, topic: string, timeoutMs: number): Promise<unknown>;
  /** Counted over crashes. */
  sleep(name: string, ms: number): Promise<void>;
}

/** Errors are values here: a journal keeps their code and sentence, not their class. */
export type StepResult<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: RecordedError };

export interface RecordedError {
  readonly code: string;
  readonly detail: string;
}
