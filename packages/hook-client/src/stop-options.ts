import { createPublicKey } from "node:crypto";
import {
  AppError,
  type PrivateKey,
  type PublicKey,
  type Run,
  newOperationId,
  operationIdSchema,
  parseAs,
  placementIdSchema,
  privateKeySchema,
  runSchema,
} from "@baton/protocol";
import { readHttpUrl } from "./http-url.ts";
import type { ConnectionOptions } from "./open-dispatcher.ts";
import type { RetryLimits } from "./retry-limits.ts";

export interface StopOptions extends ConnectionOptions {
  readonly placement: string;
  /** Signs our commands: the private half of the agent's `commandKey`. */
  readonly signingKey: PrivateKey;
  /** Verifies the placement's receipts: `publicKey` of its `endpoint.json`. */
  readonly publicKey: PublicKey;
  /** For all of it, 1 ms to 1 h. The agent gets four fifths, so that its receipt still arrives. */
  readonly deadlineMs: number;
  /**
   * Store it before the call: after a crash, a call with the same operation and attempt joins the same stop or finds its receipt.
   * A new one unless given.
   */
  readonly operation?: string | undefined;
  /** The stop's idempotency key, which needs `operation`; operation, attempt and run unless given. */
  readonly key?: string | undefined;
  /** To stop the same run in the same operation once more, after a refusal. 1 unless given. */
  readonly attempt?: number | undefined;
  /** Stops this run only; the one that the agent names unless given. */
  readonly run?: Run | undefined;
  /** Of the command, and of the receipt; the agent's own unless given. */
  readonly epoch?: number | undefined;
  /** Ends the call, not the stop: that goes on. The call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Unlimited within the deadline unless given. */
  readonly retry?: RetryLimits | undefined;
}

const longestMs = 3_600_000;

/**
 * The same, complete and checked before anything is stopped: with a wrong key the receipt could not be read afterwards.
 *
 * @throws AppError `invalid-request`
 */
export function readStopOptions(agentUrl: string, options: StopOptions) {
  const { kty, crv, x, d } = options.signingKey ?? {};
  return {
    ...options,
    url: readHttpUrl(agentUrl, "the agent"),
    placement: parseAs(placementIdSchema, options.placement, "the placement"),
    signingKey: parseAs(privateKeySchema, { kty, crv, x, d }, "the signing key"),
    publicKey: readPublicKey(options.publicKey),
    deadlineMs: readDeadlineMs(options.deadlineMs),
    operation: readOperation(options.operation, options.key),
    attempt: options.attempt ?? 1,
    run: options.run === undefined ? undefined : parseAs(runSchema, options.run, "the run"),
  };
}

/** @throws AppError `invalid-request` */
export function readDeadlineMs(deadlineMs: number): number {
  if (Number.isInteger(deadlineMs) && deadlineMs > 0 && deadlineMs <= longestMs) return deadlineMs;
  throw new AppError(
    "invalid-request",
    `cannot stop: "deadlineMs" must be a whole number from 1 to ${longestMs}`,
  );
}

function readOperation(operation: string | undefined, key: string | undefined): string {
  if (operation !== undefined) return parseAs(operationIdSchema, operation, "the operation");
  if (key === undefined) return newOperationId();
  throw new AppError(
    "invalid-request",
    'cannot stop: "key" needs the "operation" that it belongs to; a new one could never find the stop again',
  );
}

function readPublicKey(jwk: PublicKey): PublicKey {
  try {
    const { kty, crv, x } = jwk;
    const key = createPublicKey({ key: { kty, crv, x }, format: "jwk" });
    if (key.asymmetricKeyType === "ed25519") return { kty, crv, x };
  } catch {
    // Said below; the parser's own words may quote the key.
  }
  throw new AppError("invalid-request", "cannot verify receipts: the public key must be an Ed25519 JWK");
}
