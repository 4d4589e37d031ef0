import { describeDrift, describeSaga, makePlan, planSteps } from "@baton/migration";
import { AppError, type OperationRequest, type Plan } from "@baton/protocol";
import { type AskStatus, gatherFacts } from "./preflight/gather-facts.ts";
import { type PreflightParams, inputOf } from "./preflight/preflight-port.ts";
import { readAsked } from "./preflight/read-subject.ts";
import { tableOf } from "./records/saga-tables.ts";
import type { PlanRecords } from "./records/plan-records.ts";

/** Longer than the slowest look, and shorter than the command waits. */
const planMs = 40_000;

export interface PlanService {
  /** What the operation would do and what speaks against it; changes nothing but the probe's scratch keys. */
  plan(request: OperationRequest): Promise<Plan>;
  /** @throws `unknown-plan`; `plan-stale` saying what changed, where the plan that the request names is not what would be done now. */
  assertCurrent(request: OperationRequest): Promise<void>;
}

export function createPlanService(params: {
  readonly preflight: PreflightParams;
  readonly records: PlanRecords;
  readonly status: AskStatus;
}): PlanService {
  const { preflight, records, status } = params;
  const make = async (request: OperationRequest) => {
    const subject = await readAsked(preflight, request);
    const table = tableOf(request, subject.ofStopped);
    const input = inputOf(subject);
    const about = { subject, saga: describeSaga(table, input), status };
    const facts = await gatherFacts(preflight, about, AbortSignal.timeout(planMs));
    const steps = planSteps(table, input);
    return makePlan({ kind: request.kind, facts, steps, madeAt: new Date().toISOString() });
  };
  return {
    async plan(request) {
      const { plan, parts } = await make(request);
      await records.keep(plan.hash, parts);
      return plan;
    },
    async assertCurrent(request) {
      if (request.plan === undefined) return;
      const what = `cannot ${request.kind} ${request.application} by this plan`;
      const before = await records.find(request.plan);
      if (before === null)
        throw new AppError(
          "unknown-plan",
          `${what}: nobody made it here, or it is older than a week; plan again`,
        );
      const { plan, parts } = await make(request);
      if (plan.hash === request.plan) return;
      const drift = describeDrift(before, parts).join("; ");
      throw new AppError("plan-stale", `${what}: ${drift}; plan again`, {
        meta: { plan: request.plan, now: plan.hash },
      });
    },
  };
}
