import * as v from "valibot";
import { agentStatusSchema } from "./agent-api.ts";
import { nameSchema, operationIdSchema, placementIdSchema } from "./ids.ts";
import { operationStateSchema } from "./operation.ts";
import { moment, strictObject } from "./schema.ts";

/** One of an operation's placements, as it was found just now; what could not be seen is null, and `trouble` says why. */
const placeSchema = strictObject({
  part: v.picklist(["source", "target"]),
  placement: placementIdSchema,
  cluster: nameSchema,
  agent: v.nullable(agentStatusSchema),
  /** What the cluster sees of its processes from outside. */
  witness: v.nullable(v.picklist(["running", "terminated", "unknown"])),
  trouble: v.array(v.string()),
});
export type Place = v.InferOutput<typeof placeSchema>;

/** What an operation waits for, and what can be done about it. */
export const explanationSchema = strictObject({
  operation: operationIdSchema,
  state: operationStateSchema,
  /** Null once it has ended for good. */
  waitsFor: v.nullable(v.string()),
  since: v.nullable(moment),
  /** When the wait ends at the latest; null: a person has no deadline. */
  until: v.nullable(moment),
  /** What happens then, or what has come of it. */
  next: v.string(),
  actions: v.array(strictObject({ command: v.string(), means: v.string() })),
  places: v.array(placeSchema),
  /** The lease, as the bucket shows it just now. */
  lease: v.nullable(v.string()),
  trouble: v.array(v.string()),
});
export type Explanation = v.InferOutput<typeof explanationSchema>;
