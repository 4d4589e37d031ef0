import { appendFile } from "node:fs/promises";

/** Something that happened outside the agent's own records. */
export interface Effect {
  readonly effect: "exec" | "signal" | "receipt" | "burn";
  readonly operation: string;
  readonly key: string;
  readonly epoch: number;
}

/** One line per effect really done, written after it: the receiver's own count. Not fsynced, it decides nothing. */
export interface EffectLog {
  record(effect: Effect): Promise<void>;
}

export function openEffectLog(path: string): EffectLog {
  return {
    record: ({ effect, operation, key, epoch }) =>
      appendFile(
        path,
        `${JSON.stringify({ at: new Date().toISOString(), effect, operation, key, epoch })}\n`,
        {
          mode: 0o600,
        },
      ),
  };
}
