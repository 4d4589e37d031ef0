import * as v from "valibot";
import { findingSchema } from "./finding.ts";
import { epochSchema, nameSchema, operationIdSchema, placementIdSchema } from "./ids.ts";
import { publicKeySchema } from "./keys.ts";
import { evidenceClassSchema, outcomeSchema } from "./receipt.ts";
import { replicaRecordSchema } from "./replica-record.ts";
import { integer, moment, number, strictObject, url, variant } from "./schema.ts";
import { stopStrategySchema } from "./stop-policy.ts";

/** SHA-256 (hex) of what a plan says: see `baton plan`. */
export const planHashSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "must be the hash of a plan"));

const asked = {
  application: nameSchema,
  /** Only as this plan said: whatever changed since refuses the operation. */
  plan: v.optional(planHashSchema),
};
/** The application's own unless said. */
const strategy = v.optional(stopStrategySchema);

export const operationRequestSchema = variant("kind", [
  strictObject({ kind: v.literal("deploy"), ...asked, to: nameSchema }),
  strictObject({
    kind: v.literal("migrate"),
    ...asked,
    to: nameSchema,
    strategy,
    /** The target is made only when the source has stopped: for clusters that cannot hold both. */
    cold: v.optional(v.boolean()),
  }),
  strictObject({ kind: v.literal("stop"), ...asked, strategy }),
  strictObject({ kind: v.literal("start"), ...asked }),
  strictObject({ kind: v.literal("delete"), ...asked, strategy }),
]);
export type OperationRequest = v.InferOutput<typeof operationRequestSchema>;

const reason = v.pipe(v.string(), v.trim(), v.minLength(1, "must say why"), v.maxLength(2_000));

/**
 * What a person decides about an operation. `abort`: take it back. `resume`: try again what it is halted at. `override`: go on without the evidence
 * that is missing; who decides so answers for it that nothing else writes.
 */
export const decisionRequestSchema = strictObject({
  kind: v.picklist(["abort", "resume", "override"]),
  reason,
});
export type DecisionRequest = v.InferOutput<typeof decisionRequestSchema>;

/** Kept for ever. */
export const decisionSchema = strictObject({
  kind: v.picklist(["abort", "resume", "override"]),
  reason: v.string(),
  /** The name of the token. */
  by: v.string(),
  at: moment,
});
export type Decision = v.InferOutput<typeof decisionSchema>;

/** `halted` keeps the application locked until a person decides. */
export const operationStateSchema = v.picklist(["open", "committed", "rolled-back", "halted"]);
export type OperationState = v.InferOutput<typeof operationStateSchema>;

export const stepStateSchema = v.picklist([
  "pending",
  "running",
  "done",
  "failed",
  "undoing",
  "undone",
  "undo-failed",
]);
export type StepState = v.InferOutput<typeof stepStateSchema>;

export const stepRecordSchema = strictObject({
  name: v.string(),
  state: stepStateSchema,
  pivot: v.boolean(),
  startedAt: v.nullable(moment),
  /** Duration of the doing (not of the undo) in ms, once it ended. */
  ms: v.nullable(number),
  /** Why it failed, or what it is waiting for. */
  detail: v.nullable(v.string()),
});
export type StepRecord = v.InferOutput<typeof stepRecordSchema>;

const momentOrNull = v.nullable(moment);

/** What the application's downtime is made of: moments in the order in which they happen. */
export const downtimeLedgerSchema = strictObject({
  stopSentAt: momentOrNull,
  /** Its clients had left; null where the hook does not drain. By the receipt. */
  drainedAt: momentOrNull,
  exitedAt: momentOrNull,
  confirmedAt: momentOrNull,
  fencedAt: momentOrNull,
  grantedAt: momentOrNull,
  startSentAt: momentOrNull,
  readyAt: momentOrNull,
  /** The canary was answered: the first good write, if it is one. */
  firstWriteAt: momentOrNull,
  committedAt: momentOrNull,
  /** First signal to whole tree gone, by the receipt. */
  applicationStopMs: v.nullable(number),
  /** Exec to ready, by the agent. */
  applicationStartMs: v.nullable(number),
});
export type DowntimeLedger = v.InferOutput<typeof downtimeLedgerSchema>;

/** What was done to a placement's key to the bucket, and what was seen then. */
export const keyFenceSchema = strictObject({
  identity: v.string(),
  disabledAt: moment,
  /** For each endpoint, after how many tries it refused the key for good. */
  denied: v.array(strictObject({ endpoint: v.string(), at: moment, tries: integer })),
  /** Waited for requests that had begun before. */
  settleMs: number,
  uploads: strictObject({ aborted: integer, complete: v.boolean() }),
  /** What the old key left behind: below the prefix, before the next key was given. */
  inventory: strictObject({ objects: integer, bytes: integer, digest: v.string() }),
});
export type KeyFence = v.InferOutput<typeof keyFenceSchema>;

/** What was done to a placement's role at the database, and what was seen then. */
const roleFenceSchema = strictObject({
  role: v.string(),
  disabledAt: moment,
  /** The server's word (SQLSTATE) for the old password, and after how many tries. */
  refused: strictObject({ at: moment, code: v.string(), tries: integer }),
  /** The sessions and connections that were seen, and are gone. */
  ended: v.array(v.string()),
  noneAt: moment,
});
export type RoleFence = v.InferOutput<typeof roleFenceSchema>;

/** Everything by which the application could write; null where it has nothing of the kind. */
export const fenceRecordSchema = strictObject({
  key: v.nullable(keyFenceSchema),
  role: v.nullable(roleFenceSchema),
});
export type FenceRecord = v.InferOutput<typeof fenceRecordSchema>;

export const operationSchema = strictObject({
  id: operationIdSchema,
  kind: v.picklist(["deploy", "migrate", "stop", "start", "delete"]),
  application: nameSchema,
  /** Where it was; null where it was nowhere, or where it starts again in its placement. */
  from: v.nullable(nameSchema),
  /** Where it shall run; null where it shall not. */
  to: v.nullable(nameSchema),
  state: operationStateSchema,
  /** Where it is going, or where it was halted: taken back is only what goes forward. Null once it has ended for good. */
  course: v.nullable(v.picklist(["forward", "back", "past-pivot"])),
  /** Why it was rolled back or halted, in one sentence. */
  reason: v.nullable(v.string()),
  steps: v.array(stepRecordSchema),
  epochBefore: v.nullable(epochSchema),
  epochAfter: v.nullable(epochSchema),
  source: v.nullable(placementIdSchema),
  target: v.nullable(placementIdSchema),
  receipt: v.nullable(
    strictObject({ outcome: outcomeSchema, evidenceClass: evidenceClassSchema, jws: v.string() }),
  ),
  /** How the source's keys were taken away; null where that was not needed. */
  fence: v.nullable(fenceRecordSchema),
  /** That the replica had caught up; null where no endpoint of the operation is one. The last time, where that was waited for twice. */
  replica: v.optional(v.nullable(replicaRecordSchema), null),
  /** What the source acknowledged may not be there after the move. */
  possibleLoss: v.boolean(),
  /** Null where nothing is stopped. */
  strategy: v.nullable(stopStrategySchema),
  cold: v.boolean(),
  /** The hash of the plan that it was started by. */
  plan: v.nullable(planHashSchema),
  /** What its preflight found; null before that looked, or where that was not yet written down. */
  findings: v.nullable(v.array(findingSchema)),
  decisions: v.array(decisionSchema),
  ledger: downtimeLedgerSchema,
  /** The name of the token; null where nobody wrote it down then. */
  startedBy: v.nullable(v.string()),
  createdAt: moment,
  endedAt: momentOrNull,
  /** Grows with every change: long polls wait for a greater one. */
  version: integer,
});
export type Operation = v.InferOutput<typeof operationSchema>;

/** A receipt with the key that it can be verified by, also by somebody who has nothing else. */
export const signedReceiptSchema = strictObject({
  placement: placementIdSchema,
  publicKey: publicKeySchema,
  jws: v.string(),
});
export type SignedReceipt = v.InferOutput<typeof signedReceiptSchema>;

/** Where clients find the application now. `url` is null while nothing serves. */
export const routeSchema = strictObject({
  application: nameSchema,
  url: v.nullable(url),
  placement: v.nullable(placementIdSchema),
  cluster: v.nullable(nameSchema),
  epoch: epochSchema,
});
export type Route = v.InferOutput<typeof routeSchema>;
