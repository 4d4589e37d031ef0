import type { StepState } from "@baton/protocol";
import type { RecordedError } from "./engine.port.ts";

/** Where an operation's course is written down for people, and where commit and rollback exclude each other. All methods are idempotent. */
export interface Progress {
  step(change: {
    readonly name: string;
    readonly state: StepState;
    readonly detail?: string | undefined;
  }): Promise<void>;
  /**
   * From now on everything is taken back. Answers `committed` when the pivot has happened after all: commit and rollback compare-and-set
   * the same row, and only one of them can win.
   */
  beginRollback(reason: RecordedError): Promise<"rolling-back" | "committed">;
  /** Why the operation shall be taken back, once somebody asked for that before the pivot. */
  interruption(): Promise<RecordedError | null>;
  /** Parked: a person's decision is waited for on the topic of this halt. The n-th of the operation. */
  halt(halt: { readonly number: number; readonly reason: RecordedError }): Promise<void>;
  /** It was decided; the operation is what it was before the halt, or goes forward again. */
  goOn(direction: Direction): Promise<void>;
  end(end: SagaEnd): Promise<void>;
}

export type Direction = "forward" | "back" | "past-pivot";

export type SagaEnd =
  | { readonly state: "committed" }
  | { readonly state: "rolled-back"; readonly reason: RecordedError }
  | { readonly state: "halted"; readonly reason: RecordedError };

/** Planted faults: called at every point where a crash or an error would hurt. Does nothing in production. */
export interface Faults {
  reach(point: FaultPoint): Promise<void>;
}

export interface FaultPoint {
  readonly step: string;
  readonly phase: "do" | "undo";
  /** `before` the effect; `after` it and before it is recorded. */
  readonly moment: "before" | "after";
  readonly attempt: number;
}

export const noFaults: Faults = { reach: () => Promise.resolve() };
