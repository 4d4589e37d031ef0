import * as z from "zod/mini";
import { epochSchema, nameSchema, operationIdSchema, placementIdSchema } from "./ids.ts";
import { evidenceClassSchema, outcomeSchema } from "./receipt.ts";

export const operationRequestSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("deploy"), application: nameSchema, to: nameSchema }),
  z.strictObject({ kind: z.literal("migrate"), application: nameSchema, to: nameSchema }),
]);
export type OperationRequest = z.infer<typeof operationRequestSchema>;

/** `halted` keeps the application locked until a person decides. */
export const operationStateSchema = z.enum(["open", "committed", "rolled-back", "halted"]);
export type OperationState = z.infer<typeof operationStateSchema>;

export const stepStateSchema = z.enum([
  "pending",
  "running",
  "done",
  "failed",
  "undoing",
  "undone",
  "undo-failed",
]);
export type StepState = z.infer<typeof stepStateSchema>;

export const stepRecordSchema = z.strictObject({
  name: z.string(),
  state: stepStateSchema,
  pivot: z.boolean(),
  startedAt: z.nullable(z.iso.datetime()),
  /** Duration of the doing (not of the undo) in ms, once it ended. */
  ms: z.nullable(z.number()),
  /** Why it failed, or what it is waiting for. */
  detail: z.nullable(z.string()),
});
export type StepRecord = z.infer<typeof stepRecordSchema>;

const moment = z.nullable(z.iso.datetime());

/** What the application's downtime is made of: moments in the order in which they happen. */
export const downtimeLedgerSchema = z.strictObject({
  stopSentAt: moment,
  exitedAt: moment,
  confirmedAt: moment,
  fencedAt: moment,
  grantedAt: moment,
  startSentAt: moment,
  readyAt: moment,
  committedAt: moment,
  /** First signal to whole tree gone, by the receipt. */
  applicationStopMs: z.nullable(z.number()),
  /** Exec to ready, by the agent. */
  applicationStartMs: z.nullable(z.number()),
});
export type DowntimeLedger = z.infer<typeof downtimeLedgerSchema>;

export const operationSchema = z.strictObject({
  id: operationIdSchema,
  kind: z.enum(["deploy", "migrate"]),
  application: nameSchema,
  from: z.nullable(nameSchema),
  to: nameSchema,
  state: operationStateSchema,
  /** Why it was rolled back or halted, in one sentence. */
  reason: z.nullable(z.string()),
  steps: z.array(stepRecordSchema),
  epochBefore: z.nullable(epochSchema),
  epochAfter: z.nullable(epochSchema),
  source: z.nullable(placementIdSchema),
  target: placementIdSchema,
  receipt: z.nullable(
    z.strictObject({ outcome: outcomeSchema, evidenceClass: evidenceClassSchema, jws: z.string() }),
  ),
  ledger: downtimeLedgerSchema,
  createdAt: z.iso.datetime(),
  endedAt: moment,
  /** Grows with every change: long polls wait for a greater one. */
  version: z.int(),
});
export type Operation = z.infer<typeof operationSchema>;

/** Where clients find the application now. `url` is null while nothing serves. */
export const routeSchema = z.strictObject({
  application: nameSchema,
  url: z.nullable(z.url()),
  placement: z.nullable(placementIdSchema),
  cluster: z.nullable(nameSchema),
  epoch: epochSchema,
});
export type Route = z.infer<typeof routeSchema>;
