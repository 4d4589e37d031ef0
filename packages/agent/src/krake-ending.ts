import { sameRun } from "@baton/protocol";
import type { Facts, RunFacts } from "./facts.ts";

/** Whether the last run is, or was, to end for a Krake, which then deletes the container: nobody but a command may start it again. */
export const isForKrake = ({ krake, run }: Facts): boolean =>
  krake !== null && (krake.state === "asked" || sameRun(krake.run, run?.run ?? null));

/**
 * Why an end must not be confirmed; null when it may be. Krake acts on a confirmation as on a clean stop: it deletes this copy and starts the
 * next. So what is unknown, forced or crashed is not confirmed, nor an end whose exit status nobody saw (the agent's own restart loses it).
 */
export function reasonToWithhold(run: RunFacts | null): string | null {
  if (run === null || run.endedBy === "never-executed") return null;
  const { end } = run;
  if (end === null || end.evidenceClass === "unknown") return "the application is not proven to be gone";
  if (end.outcome === "graceful") return null;
  if (end.outcome !== "already-stopped") return `the stop was ${end.outcome}`;
  return end.exit === null ? "the application ended while nobody could see its exit status" : null;
}
