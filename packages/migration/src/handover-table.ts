import type { EvidenceClass, Outcome } from "@baton/protocol";

export interface HandoverEvidence {
  readonly outcome: Outcome;
  readonly evidenceClass: EvidenceClass;
  readonly witness: "running" | "terminated" | "unknown";
}

export type HandoverDecision =
  { readonly kind: "pass" } | { readonly kind: "refuse"; readonly reason: string };

/**
 * Whether the lease may pass on (DESIGN.md, "Storage: who may write"). There is no fence of the storage yet, so only one row of the table can
 * pass: a proven, graceful stop (or a start that never was) that the cluster confirms from outside. The settle time comes on top.
 */
export function decideHandover(evidence: HandoverEvidence): HandoverDecision {
  const { outcome, evidenceClass, witness } = evidence;
  if (witness === "running") return refuse("the cluster still sees processes of the application");
  if (witness === "unknown")
    return refuse("the cluster cannot say whether processes of the application are left");
  if (evidenceClass !== "proven") return refuse(`the stop is ${evidenceClass}, not proven`);
  if (outcome !== "graceful" && outcome !== "never-started")
    return refuse(`the stop was ${outcome}, not graceful: possible loss`);
  return { kind: "pass" };
}

const refuse = (reason: string): HandoverDecision => ({ kind: "refuse", reason });
