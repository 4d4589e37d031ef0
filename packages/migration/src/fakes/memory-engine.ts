import { AppError, toAppError } from "@baton/protocol";
import type { Engine, RecordedError, StepResult } from "../engine.port.ts";

/** The process died: what was not recorded is forgotten, what was done stays done. */
export class Crash extends Error {
  override readonly name = "Crash";
}

/** What outlives a crash. */
export interface MemoryJournal {
  readonly entries: Map<string, unknown>;
  readonly messages: Map<string, unknown>;
}

export const createJournal = (): MemoryJournal => ({ entries: new Map(), messages: new Map() });

export interface MemoryEngineParams {
  readonly journal: MemoryJournal;
  /** Asked at every step that is not recorded yet; `before`: dies before the work, `after`: dies between the work and its record. */
  readonly crashAt: (name: string) => "before" | "after" | null;
  /** Rejects when the process dies in the middle of the work. */
  readonly killed: Promise<never>;
}

/** One life of a durable engine in memory. */
export function createMemoryEngine({ journal, crashAt, killed }: MemoryEngineParams): Engine {
  return {
    async step<T>(
      name: string,
      _deadlineMs: number,
      work: (signal: AbortSignal) => Promise<T>,
      interruption?: () => Promise<RecordedError | null>,
    ): Promise<StepResult<T>> {
      // JSON there and back, as a real journal does it.
      if (journal.entries.has(name)) return JSON.parse(String(journal.entries.get(name))) as StepResult<T>;
      const crash = crashAt(name);
      if (crash === "before") throw new Crash(name);
      const aborting = new AbortController();
      const interrupted = (await interruption?.()) ?? null;
      if (interrupted !== null) aborting.abort(new AppError("aborted", interrupted.detail));
      const done = work(aborting.signal).then(
        (value): StepResult<T> => ({ ok: true, value }),
        (error: unknown): StepResult<T> => {
          const { code, message } = toAppError(error);
          return { ok: false, error: { code, detail: message } };
        },
      );
      const worked = await Promise.race([done, killed]);
      const result: StepResult<T> = interrupted === null ? worked : { ok: false, error: interrupted };
      if (crash === "after") throw new Crash(name);
      journal.entries.set(name, JSON.stringify(result));
      return JSON.parse(JSON.stringify(result)) as StepResult<T>;
    },
    receive: (_name, topic) => Promise.resolve(journal.messages.get(topic) ?? null),
    sleep: () => Promise.resolve(),
  };
}
