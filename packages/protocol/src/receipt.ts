import * as z from "zod/mini";
import { deferred } from "./deferred.ts";
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

/**
 * How a stop ended. `refused`: it still runs; `unknown`: it cannot be said; `never-started`: a grant was burned
 * and no process was ever made from it.
 */
export const outcomeSchema = deferred(() =>
  z.enum([
    "graceful",
    "forced",
    "refused",
    "already-stopped",
    "crashed-during-stop",
    "never-started",
    "unknown",
  ]),
);
export type Outcome = z.infer<typeof outcomeSchema>;

/** `proven`: the agent executed the application and saw its whole tree go; `claimed`: somebody says so. */
export const evidenceClassSchema = deferred(() => z.enum(["proven", "claimed", "unknown"]));
export type EvidenceClass = z.infer<typeof evidenceClassSchema>;

/** What a stop does, in this order; a phase that the hook does not name is left out. */
const stopPhaseSchema = deferred(() => z.enum(["drain", "quiesce", "signals", "verify", "export"]));
export type StopPhase = z.infer<typeof stopPhaseSchema>;

/**
 * One thing that "stopped" needs besides the tree. `ports`: what the tree listened on is released; `files`: nothing below the data directories is
 * open, mapped or locked; `sockets`: what it sent to the store has been taken; `marker`: the application's own sign of a clean end; `flush`: the
 * data directories are on disk; `export`: what leaves at the stop has left. Only `passed` counts; `unknown` says what hides the truth.
 */
export const checkSchema = deferred(() =>
  z.strictObject({
    check: z.enum(["ports", "files", "sockets", "marker", "flush", "export"]),
    state: z.enum(["passed", "failed", "unknown"]),
    detail: z.array(z.string()),
  }),
);
export type Check = z.infer<typeof checkSchema>;

const moment = z.iso.datetime();

/** The agent's statement of how a stop ended. Moments are the agent's wall clock, for people; durations are monotonic, in ms. */
export const receiptSchema = deferred(() =>
  z.strictObject({
    version: z.literal(1),
    key: commandKeySchema,
    operation: operationIdSchema,
    application: nameSchema,
    placement: placementIdSchema,
    epoch: epochSchema,
    /** Null only for `never-started`. */
    run: z.nullable(runSchema),
    outcome: outcomeSchema,
    evidenceClass: evidenceClassSchema,
    /** Of the direct child; null when it is not known or there was none. */
    exit: z.nullable(z.strictObject({ code: z.nullable(z.int()), signal: z.nullable(z.string()) })),
    signals: z.array(z.strictObject({ signal: z.string(), at: moment, processes: z.int() })),
    timings: z.strictObject({
      receivedAt: moment,
      /** First signal sent. */
      signalledAt: z.nullable(moment),
      /** Direct child seen to exit. */
      exitedAt: z.nullable(moment),
      /** Whole tree seen to be gone. */
      verifiedAt: z.nullable(moment),
      /** From the first signal until the whole tree was gone. */
      stopMs: z.nullable(z.number()),
    }),
    /** What was done, in order, with how long it took. */
    phases: z._default(
      z.array(
        z.strictObject({
          phase: stopPhaseSchema,
          result: z.enum(["done", "late", "failed"]),
          /** Monotonic. */
          ms: z.number(),
          detail: z.nullable(z.string()),
        }),
      ),
      [],
    ),
    evidence: z.strictObject({
      treeGone: z.boolean(),
      /** What was left or could not be read, in words. */
      remaining: z.array(z.string()),
      /** Everything else that was looked at once the tree was gone. */
      checks: z._default(z.array(checkSchema), []),
      bootId: z.string(),
    }),
    agentVersion: z.string(),
  }),
);
export type Receipt = z.infer<typeof receiptSchema>;

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
    const receipt = receiptSchema.parse(JSON.parse(payload));
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
    return placementIdSchema.parse(readJwsHeader(jws).kid);
  } catch {
    return null;
  }
}
