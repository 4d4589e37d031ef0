import type { PreflightFacts, Seen } from "./facts.ts";

/** `blocking`: the operation does not begin. `warning`: it may end otherwise than wished. `info`: good to know. */
export type Severity = "blocking" | "warning" | "info";

/** One thing that breaks a real move, or hides that it would. */
export interface Rule {
  readonly id: string;
  readonly severity: Severity;
  /** What it means for the operation. */
  readonly means: string;
  readonly fix: string;
  /** What was found, in words; null where all is well, or where it does not apply. */
  readonly check: (facts: PreflightFacts) => string | null;
}

/** The value of a fact that was seen; a rule that is about its absence tells that. */
export const valueOf = <T>(fact: Seen<T> | null | undefined): T | undefined =>
  fact?.known === true ? fact.value : undefined;

/** Why a fact was not seen, after `what`; null where it was, or where nobody asked. */
export const unseen = <T>(fact: Seen<T> | null | undefined, what: string): string | null =>
  fact?.known !== false ? null : `${what}: ${fact.why}`;
