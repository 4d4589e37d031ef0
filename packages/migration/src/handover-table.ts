import type { EvidenceClass, Outcome } from "@baton/protocol";

/** What keeps the source from writing, whatever it does: its credentials, disabled and denied at every endpoint; or its gateway's lease, revoked and outwaited. */
export type Fence = "credentials" | "gateway";

export interface HandoverEvidence {
  readonly outcome: Outcome;
  readonly evidenceClass: EvidenceClass;
  /** What the cluster sees of the application's processes from outside; an agent that is left, held, does not count. */
  readonly witness: "running" | "terminated" | "unknown";
  /** One that was seen to hold; null where there is none. */
  readonly fence: Fence | null;
  /** `failover`: ordered in the knowledge that the source may not answer, and that what it had not stored is lost. */
  readonly strategy: "migrate" | "failover";
  /** Who takes it on themselves that nothing is left of a source that nobody can see; kept in the operation's record. */
  readonly override: string | null;
}

export type HandoverDecision =
  | {
      readonly kind: "pass";
      /** What was acknowledged and not yet stored may be gone; to be told, never to be hidden. */
      readonly possibleLoss: boolean;
    }
  | { readonly kind: "refuse"; readonly reason: string };

/**
 * Whether the lease may pass on: the table of DESIGN.md ("Storage: who may write"). The store's settle time comes on top of each row, and that no
 * socket to the store is open is a part of `proven`.
 */
export function decideHandover(evidence: HandoverEvidence): HandoverDecision {
  const { outcome, evidenceClass, witness, fence, strategy, override } = evidence;
  const possibleLoss = outcome !== "graceful" && outcome !== "never-started";
  if (witness === "terminated") {
    if (evidenceClass === "proven" && !possibleLoss) return pass(false);
    if (evidenceClass !== "unknown" && fence !== null) return pass(possibleLoss);
  }
  // A fence holds against whoever lives; what it had in memory is lost with it.
  if (fence !== null && strategy === "failover") return pass(true);
  // What nobody can see somebody can answer for; what is seen running is known, and only a fence holds against it.
  if (evidenceClass === "unknown" && override !== null && (witness !== "running" || fence !== null))
    return pass(true);

  const needsFailover = fence === null ? "a fence and the strategy failover" : "the strategy failover";
  if (witness === "running")
    return refuse(`the cluster still sees processes of the application; ${needsFailover} would be needed`);
  if (witness === "unknown")
    return refuse(
      `the cluster cannot say whether processes of the application are left; ${needsFailover} would be needed`,
    );
  if (evidenceClass === "unknown")
    return refuse(
      `the stop is unknown, not proven; ${needsFailover} would be needed, or somebody who answers for it`,
    );
  if (evidenceClass === "claimed") return refuse("the stop is claimed, not proven; a fence would be needed");
  return refuse(`the stop was ${outcome}, not graceful: possible loss; a fence would be needed`);
}

const pass = (possibleLoss: boolean): HandoverDecision => ({ kind: "pass", possibleLoss });
const refuse = (reason: string): HandoverDecision => ({ kind: "refuse", reason });

/** An ordinary migration on a store without fences, and nobody who answers for it. */
export const noFence = { fence: null, strategy: "migrate", override: null } as const;
