import type { Operation, Plan } from "@baton/protocol";
import { checkPreflight } from "../preflight/check-preflight.ts";
import type { PreflightFacts } from "../preflight/facts.ts";
import type { PlannedStep } from "@baton/protocol";
import { planHandover } from "./plan-handover.ts";
import { type PlanParts, hashOf, planParts } from "./plan-parts.ts";

export interface MakePlanParams {
  readonly kind: Operation["kind"];
  readonly facts: PreflightFacts;
  readonly steps: readonly PlannedStep[];
  readonly madeAt: string;
}

/** The plan with the parts that its hash is over. */
export function makePlan({ kind, facts, steps, madeAt }: MakePlanParams): {
  readonly plan: Plan;
  readonly parts: PlanParts;
} {
  const { request, records, source, target } = facts;
  const findings = checkPreflight(facts);
  const parts = planParts(facts, findings);
  const plan: Plan = {
    hash: hashOf(parts),
    kind,
    application: request.application,
    from: source?.cluster ?? null,
    to: target?.cluster ?? null,
    strategy: request.strategy,
    cold: request.cold,
    source: source?.placement ?? null,
    epoch: records.epoch,
    steps: [...steps],
    handover: [...planHandover(facts)],
    findings: [...findings],
    longestMs: steps.reduce((sum, { deadlineMs }) => sum + deadlineMs, 0),
    expectedDowntimeMs: kind === "migrate" ? records.last.downtimeMs : null,
    madeAt,
  };
  return { plan, parts };
}
