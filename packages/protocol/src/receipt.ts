import * as v from "valibot";
import { AppError } from "./errors.ts";
import {
  commandKeySchema,
  epochSchema,
  nameSchema,
  operationIdSchema,
  placementIdSchema,
  runSchema,
} from "./ids.ts";
import { readJwsHeader, signJws, verifyJws } from "./jws.ts";
import type { PrivateKey, PublicKey } from "./keys.ts";
import { parseAs } from "./parse.ts";
import { integer, moment, number, strictObject } from "./schema.ts";

/**
 * How a stop ended. `refused`: it still runs; `unknown`: it cannot be said; `never-started`: a grant was burned
 * and no process was ever made from it.
 */
export const outcomeSchema = v.picklist([
  "graceful",
  "forced",
  "refused",
  "already-stopped",
  "crashed-during-stop",
  "never-started",
  "unknown",
]);
export type Outcome = v.InferOutput<typeof outcomeSchema>;

/** `proven`: the agent executed the application and saw its whole tree go; `claimed`: somebody says so. */
export const evidenceClassSchema = v.picklist(["proven", "claimed", "unknown"]);
export type EvidenceClass = v.InferOutput<typeof evidenceClassSchema>;

/** What a stop does, in this order; a phase that the hook does not name is left out. */
const stopPhaseSchema = v.picklist(["drain", "quiesce", "signals", "verify", "export"]);
export type StopPhase = v.InferOutput<typeof stopPhaseSchema>;

/**
 * One thing that "stopped" needs besides the tree. `ports`: what the tree listened on is released; `files`: nothing below the data directories is
 * open, mapped or locked; `sockets`: what it sent to the store has been taken; `marker`: the application's own sign of a clean end; `flush`: the
 * data directories are on disk; `export`: what leaves at the stop has left. Only `passed` counts; `unknown` says what hides the truth.
 */
export const checkSchema = strictObject({
  check: v.picklist(["ports", "files", "sockets", "marker", "flush", "export"]),
  state: v.picklist(["passed", "failed", "unknown"]),
  detail: v.array(v.string()),
});
export type Check = v.InferOutput<typeof checkSchema>;

/** The agent's statement of how a stop ended. Moments are the agent's wall clock, for people; durations are monotonic, in ms. */
export const receiptSchema = strictObject({
  version: v.literal(1),
  key: commandKeySchema,
  operation: operationIdSchema,
  application: nameSchema,
  placement: placementIdSchema,
  epoch: epochSchema,
  /** Null only for `never-started`. */
  run: v.nullable(runSchema),
  outcome: outcomeSchema,
  evidenceClass: evidenceClassSchema,
  /** Of the direct child; null when it is not known or there was none. */
  exit: v.nullable(strictObject({ code: v.nullable(integer), signal: v.nullable(v.string()) })),
  signals: v.array(strictObject({ signal: v.string(), at: moment, processes: integer })),
  timings: strictObject({
    receivedAt: moment,
    /** First signal sent. */
    signalledAt: v.nullable(moment),
    /** Direct child seen to exit. */
    exitedAt: v.nullable(moment),
    /** Whole tree seen to be gone. */
    verifiedAt: v.nullable(moment),
    /** From the first signal until the whole tree was gone. */
    stopMs: v.nullable(number),
  }),
  /** What was done, in order, with how long it took. */
  phases: v.optional(
    v.array(
      strictObject({
        phase: stopPhaseSchema,
        result: v.picklist(["done", "late", "failed"]),
        /** Monotonic. */
        ms: number,
        detail: v.nullable(v.string()),
      }),
    ),
    [],
  ),
  evidence: strictObject({
    treeGone: v.boolean(),
    /** What was left or could not be read, in words. */
    remaining: v.array(v.string()),
    /** Everything else that was looked at once the tree was gone. */
    checks: v.optional(v.array(checkSchema), []),
    bootId: v.string(),
  }),
  agentVersion: v.string(),
});
export type Receipt = v.InferOutput<typeof receiptSchema>;

const receiptType = "baton-receipt+json";
/** Characters; far above what any stop has to say. */
const longestReceipt = 1_048_576;

/**
 * Compact JWS (EdDSA) over the receipt as JSON; its key id is the placement.
 *
 * @throws AppError `internal` for a receipt of the wrong shape
 */
export async function signReceipt(receipt: Receipt, key: PrivateKey): Promise<string> {
  const content = parseAs(receiptSchema, receipt, "the receipt to sign", "internal");
  return signJws({
    type: receiptType,
    keyId: receipt.placement,
    payload: JSON.stringify(content),
    key,
  });
}

/** What the placement of `key` signed. @throws AppError `receipt-invalid` when the signature, the type or the content is wrong */
export async function verifyReceipt(jws: string, key: PublicKey): Promise<Receipt> {
  try {
    const { payload, keyId } = verifyJws({ type: receiptType, jws, key, longest: longestReceipt });
    const receipt = parseAs(receiptSchema, JSON.parse(payload), "the receipt");
    if (keyId !== receipt.placement) throw new Error("key id and placement differ");
    return receipt;
  } catch (error) {
    throw new AppError(
      "receipt-invalid",
      "cannot accept the receipt: its signature or content is not valid",
      { cause: error },
    );
  }
}

/** The placement that a receipt says it is from, unverified: only to find the key to verify it with. Null: it names none. */
export function receiptPlacement(jws: string): string | null {
  try {
    return parseAs(placementIdSchema, readJwsHeader(jws).kid, "the key id");
  } catch {
    return null;
  }
}
