import type { Check, EvidenceClass, Outcome } from "@baton/protocol";
import type { Exit } from "./application.ts";

/** What was seen of the end of a run. */
export interface StopEvidence {
  /** A settled scan found nothing of the tree and nothing that it could not read. */
  readonly treeGone: boolean;
  readonly checks: readonly Check[];
}

export interface EndingFacts extends StopEvidence {
  /** Processes of the tree that certainly live. */
  readonly alive: number;
  /** SIGKILL was sent. */
  readonly killed: boolean;
  /** Of the direct child; null when unknown. */
  readonly exit: Exit | null;
  /** The direct child had ended before the stop was asked for: its status tells nothing of what was stopped. */
  readonly exitedBefore: boolean;
  readonly gracefulExitCodes: readonly number[];
  readonly gracefulSignals: readonly string[];
  /** Somebody else executes the application and nobody keeps it from starting again. */
  readonly claimedOnly: boolean;
}

/** These say how well it ended, not whether it did. */
const aboutQuality: readonly Check["check"][] = ["marker", "export"];

/** Whether nothing of a run can act or be heard any more: the tree is gone and every other look passed. What is unknown did not pass. */
export const isStopped = ({ treeGone, checks }: StopEvidence): boolean =>
  treeGone && checks.every(({ check, state }) => state === "passed" || aboutQuality.includes(check));

/** What a stop may be called. What is not proven to be over is never one of the ended outcomes; death by signal is graceful only if listed. */
export function judgeEnding(facts: EndingFacts): {
  readonly outcome: Outcome;
  readonly evidenceClass: EvidenceClass;
} {
  if (!facts.treeGone)
    return { outcome: facts.alive > 0 && !facts.killed ? "refused" : "unknown", evidenceClass: "unknown" };
  if (!isStopped(facts)) return { outcome: "unknown", evidenceClass: "unknown" };
  const evidenceClass = facts.claimedOnly ? "claimed" : "proven";
  if (facts.killed) return { outcome: "forced", evidenceClass };
  const isGraceful =
    !facts.exitedBefore && endedWell(facts) && facts.checks.every(({ state }) => state === "passed");
  return { outcome: isGraceful ? "graceful" : "crashed-during-stop", evidenceClass };
}

function endedWell({ exit, gracefulExitCodes, gracefulSignals }: EndingFacts): boolean {
  if (exit === null) return false;
  if (exit.signal !== null) return gracefulSignals.includes(exit.signal);
  return exit.code !== null && gracefulExitCodes.includes(exit.code);
}
