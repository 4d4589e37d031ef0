import type { EvidenceClass, Outcome, PlannedHandover } from "@baton/protocol";
import { decideHandover } from "../handover-table.ts";
import type { PreflightFacts } from "../preflight/facts.ts";

/** The first is what is expected. */
const endings: readonly (readonly [Outcome, EvidenceClass])[] = [
  ["graceful", "proven"],
  ["forced", "proven"],
  ["unknown", "unknown"],
];

/** What each ending of the stop would lead to, when the cluster sees that nothing is left. */
export function planHandover({ request, source, fence }: PreflightFacts): readonly PlannedHandover[] {
  if (source?.expected !== "serving") return [];
  const strategy = request.strategy === "failover" ? "failover" : "migrate";
  return endings.map(([outcome, evidenceClass]) => {
    const seen = { outcome, evidenceClass, witness: "terminated", strategy, override: null } as const;
    const atOnce = decideHandover({ ...seen, fence: null });
    const fenced = decideHandover({ ...seen, fence: fence === null ? null : "credentials" });
    if (atOnce.kind === "pass")
      return { outcome, evidenceClass, passes: "at once", possibleLoss: atOnce.possibleLoss, reason: null };
    if (fenced.kind === "pass")
      return { outcome, evidenceClass, passes: "fence", possibleLoss: fenced.possibleLoss, reason: null };
    return { outcome, evidenceClass, passes: "never", possibleLoss: false, reason: fenced.reason };
  });
}
