import * as v from "valibot";
import { epochSchema, nameSchema, operationIdSchema, placementIdSchema } from "./ids.ts";
import { evidenceClassSchema, outcomeSchema } from "./receipt.ts";
import { integer, moment, number, strictObject, url, variant } from "./schema.ts";

export const operationRequestSchema = variant("kind", [
  strictObject({ kind: v.literal("deploy"), application: nameSchema, to: nameSchema }),
  strictObject({ kind: v.literal("migrate"), application: nameSchema, to: nameSchema }),
]);
export type OperationRequest = v.InferOutput<typeof operationRequestSchema>;

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
  exitedAt: momentOrNull,
  confirmedAt: momentOrNull,
  fencedAt: momentOrNull,
  grantedAt: momentOrNull,
  startSentAt: momentOrNull,
  readyAt: momentOrNull,
  committedAt: momentOrNull,
  /** First signal to whole tree gone, by the receipt. */
  applicationStopMs: v.nullable(number),
  /** Exec to ready, by the agent. */
  applicationStartMs: v.nullable(number),
});
export type DowntimeLedger = v.InferOutput<typeof downtimeLedgerSchema>;

/** What was done to a placement's key, and what was seen then. */
export const fenceRecordSchema = strictObject({
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

export type FenceRecord = v.InferOutput<typeof fenceRecordSchema>;

export const operationSchema = strictObject({
  id: operationIdSchema,
  kind: v.picklist(["deploy", "migrate"]),
  application: nameSchema,
  from: v.nullable(nameSchema),
  to: nameSchema,
  state: operationStateSchema,
  /** Why it was rolled back or halted, in one sentence. */
  reason: v.nullable(v.string()),
  steps: v.array(stepRecordSchema),
  epochBefore: v.nullable(epochSchema),
  epochAfter: v.nullable(epochSchema),
  source: v.nullable(placementIdSchema),
  target: placementIdSchema,
  receipt: v.nullable(
    strictObject({ outcome: outcomeSchema, evidenceClass: evidenceClassSchema, jws: v.string() }),
  ),
  /** How the source's key was taken away; null where that was not needed. */
  fence: v.nullable(fenceRecordSchema),
  /** What the source acknowledged may not be there after the move. */
  possibleLoss: v.boolean(),
  ledger: downtimeLedgerSchema,
  createdAt: moment,
  endedAt: momentOrNull,
  /** Grows with every change: long polls wait for a greater one. */
  version: integer,
});
export type Operation = v.InferOutput<typeof operationSchema>;

/** Where clients find the application now. `url` is null while nothing serves. */
export const routeSchema = strictObject({
  application: nameSchema,
  url: v.nullable(url),
  placement: v.nullable(placementIdSchema),
  cluster: v.nullable(nameSchema),
  epoch: epochSchema,
});
export type Route = v.InferOutput<typeof routeSchema>;
