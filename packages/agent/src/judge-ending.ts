import type { EvidenceClass, Outcome } from "@baton/protocol";
import type { Exit } from "./application.ts";

export interface StopEvidence {
  /** A settled scan found nothing of the tree and nothing that it could not read. */
  readonly treeGone: boolean;
  /** Processes of the tree that certainly live. */
  readonly alive: number;
  readonly killed: boolean;
  /** Of the direct child; null when unknown. */
  readonly exit: Exit | null;
  /** The direct child had ended before the stop was asked for: its status tells nothing of what was stopped. */
  readonly exitedBefore: boolean;
  readonly gracefulExitCodes: readonly number[];
}

/** What a stop may be called. Anything not proven gone is never one of the three ended outcomes; death by a signal is never graceful. */
export function judgeEnding(evidence: StopEvidence): { outcome: Outcome; evidenceClass: EvidenceClass } {
  const { treeGone, alive, killed, exit, exitedBefore, gracefulExitCodes } = evidence;
  if (!treeGone) return { outcome: alive > 0 && !killed ? "refused" : "unknown", evidenceClass: "unknown" };
  if (killed) return { outcome: "forced", evidenceClass: "proven" };
  const code = exit?.signal === null ? exit.code : null;
  const isGraceful = code !== null && !exitedBefore && gracefulExitCodes.includes(code);
  return { outcome: isGraceful ? "graceful" : "crashed-during-stop", evidenceClass: "proven" };
}
