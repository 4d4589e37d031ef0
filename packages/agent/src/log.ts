import { inspect } from "node:util";

/** One line of JSON per event. Fields never hold secrets, tokens or bodies. */
export type Log = (
  level: "info" | "warn" | "error",
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

export function createLog(write: (line: string) => void, base: Readonly<Record<string, unknown>>): Log {
  return (level, message, fields) =>
    write(`${JSON.stringify({ time: new Date().toISOString(), level, ...base, message, ...fields })}\n`);
}

/** An error in words for the log: its own sentence and those of its causes. */
export function reasonOf(error: unknown): string {
  const reasons: string[] = [];
  for (let at: unknown = error; at !== undefined && reasons.length < 4;) {
    reasons.push(at instanceof Error ? at.message : inspect(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return reasons.join(": ");
}
