import * as v from "valibot";
import { findingSchema } from "./finding.ts";
import { epochSchema, nameSchema, placementIdSchema } from "./ids.ts";
import { operationSchema, planHashSchema } from "./operation.ts";
import { evidenceClassSchema, outcomeSchema } from "./receipt.ts";
import { moment, number, strictObject } from "./schema.ts";
import { stopStrategySchema } from "./stop-policy.ts";

const plannedStepSchema = strictObject({
  name: v.string(),
  /** The point of no return. */
  pivot: v.boolean(),
  /** The longest that one try of it takes, in ms, waiting for its confirmation included. */
  deadlineMs: number,
  /** The longest that one try of taking it back takes; null where nothing is to be taken back. */
  undoMs: v.nullable(number),
});
export type PlannedStep = v.InferOutput<typeof plannedStepSchema>;

/** What follows from a stop that ended so, by the handover table; the first one is what is expected. */
const plannedHandoverSchema = strictObject({
  outcome: outcomeSchema,
  evidenceClass: evidenceClassSchema,
  /** `fence`: it passes once the source's key is taken away. */
  passes: v.picklist(["at once", "fence", "never"]),
  possibleLoss: v.boolean(),
  /** Why it does not pass. */
  reason: v.nullable(v.string()),
});
export type PlannedHandover = v.InferOutput<typeof plannedHandoverSchema>;

/** What an operation would do, and what speaks against it. An operation that is started by its hash is this, or it is refused. */
export const planSchema = strictObject({
  /** Over all that the decision depends on. */
  hash: planHashSchema,
  kind: operationSchema.entries.kind,
  application: nameSchema,
  from: v.nullable(nameSchema),
  to: v.nullable(nameSchema),
  strategy: v.nullable(stopStrategySchema),
  cold: v.boolean(),
  /** The placement that has the application now, and its epoch. */
  source: v.nullable(placementIdSchema),
  epoch: epochSchema,
  steps: v.array(plannedStepSchema),
  /** Empty where nothing is stopped. */
  handover: v.array(plannedHandoverSchema),
  findings: v.array(findingSchema),
  /** All steps, each as slow as it may be and none tried again, in ms. */
  longestMs: number,
  /** As long as the application was down in its last operation of this kind; null where there was none. */
  expectedDowntimeMs: v.nullable(number),
  madeAt: moment,
});
export type Plan = v.InferOutput<typeof planSchema>;
