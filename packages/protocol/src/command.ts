import { createHash, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import { AppError, type ErrorCode, isAppError } from "./errors.ts";
import { commandKeySchema, epochSchema, newNonce, operationIdSchema, runSchema } from "./ids.ts";
import { signJws, verifyJws } from "./jws.ts";
import type { PrivateKey, PublicKey } from "./keys.ts";
import { accessKeySchema } from "./manifest.ts";
import { parseAs } from "./parse.ts";
import { integer, object, record, strictObject, variant } from "./schema.ts";

const deadlineMs = v.pipe(integer, v.gtValue(0), v.maxValue(3_600_000));
const keyed = { key: commandKeySchema, operation: operationIdSchema };
/** SHA-256 (hex) of the request body, which carries the data keys. */
const bodyHash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

/**
 * What an agent can be told.
 * `stop` ends exactly `run`; `start` turns `grant` into a run; `burn` gives up a grant that was never started;
 * `withdraw` forbids the stop `key` for ever; `open` lets clients in (`/readyz`); `check` runs a check of the configuration; `keys` replaces the data key that `run` is served; `read` changes
 * nothing.
 */
export const commandSchema = variant("kind", [
  strictObject({
    kind: v.literal("stop"),
    ...keyed,
    run: runSchema,
    deadlineMs,
    /** SIGKILL may follow the last signal, whatever the hook says. */
    kill: v.optional(v.boolean()),
  }),
  strictObject({
    kind: v.literal("start"),
    ...keyed,
    grant: v.pipe(v.string(), v.minLength(1)),
    deadlineMs,
    bodySha256: bodyHash,
  }),
  strictObject({ kind: v.literal("burn"), ...keyed, grant: v.pipe(v.string(), v.minLength(1)) }),
  strictObject({ kind: v.literal("withdraw"), ...keyed }),
  strictObject({ kind: v.literal("open"), operation: operationIdSchema, run: runSchema }),
  strictObject({ kind: v.literal("keys"), run: runSchema, bodySha256: bodyHash }),
  strictObject({ kind: v.literal("check"), operation: operationIdSchema, run: runSchema, check: integer }),
  strictObject({ kind: v.literal("read") }),
]);
export type Command = v.InferOutput<typeof commandSchema>;

/**
 * The body of `POST /v1/start`. `environment`: variables that are not in the placement's configuration, data keys among them. `key`: a data key that the
 * agent serves where AWS's SDKs ask for it, instead, so that it can be replaced under the run.
 */
export const startBodySchema = strictObject({
  environment: record(v.string(), v.string()),
  key: v.optional(accessKeySchema),
});
export type StartBody = v.InferOutput<typeof startBodySchema>;

/** The body of `POST /v1/keys`. */
export const keysBodySchema = strictObject({ key: accessKeySchema });

/** What is about the token itself is checked first, by hand: it decides between the codes. */
const claimsSchema = object({
  jti: v.pipe(v.string(), v.minCodePoints(16)),
  epoch: epochSchema,
  term: v.optional(v.pipe(integer, v.minValue(0)), 0),
  command: commandSchema,
});

/** A verified command; the caller still has to refuse a `nonce` it has seen, and an `epoch` or `term` older than it knows. */
export interface VerifiedCommand {
  readonly command: Command;
  readonly epoch: number;
  /** Which life of the operation asked: one lower than was seen for it is refused as well. 0 where nobody counts. */
  readonly term: number;
  readonly nonce: string;
  /** Seconds since 1970, by the verifier's clock: from then on the token is refused, and its nonce may be forgotten. */
  readonly expiresAt: number;
}

export const commandLifeSeconds = 30;
/** Clocks of two machines may differ by this. */
export const commandClockToleranceSeconds = 10;
const tokenType = "baton-command+jwt";
/** Characters. A header of HTTP holds no more. */
const longestToken = 16_384;

/** SHA-256 of a request body, as hex. */
export const bodySha256 = (body: string): string => createHash("sha256").update(body).digest("hex");

/**
 * @param expected `bodySha256` of a verified command
 * @throws AppError `unauthenticated` when the body is not the one that was signed
 */
export function assertBodyMatches(body: string, expected: string): void {
  if (!timingSafeEqual(Buffer.from(bodySha256(body), "hex"), Buffer.from(expected, "hex")))
    throw new AppError(
      "unauthenticated",
      "cannot accept the command: its body is not the one that was signed",
    );
}

export interface SignCommandParams {
  readonly key: PrivateKey;
  readonly placement: string;
  readonly epoch: number;
  readonly command: Command;
  readonly term?: number | undefined;
  /** At least 16 characters; a new one unless given. */
  readonly nonce?: string | undefined;
  readonly now?: Date | undefined;
}

/**
 * A JWT (EdDSA, 30 s) for one placement and epoch with a nonce of its own.
 *
 * @throws AppError `internal` for a command of the wrong shape
 */
export async function signCommand(params: SignCommandParams): Promise<string> {
  const issuedAt = Math.floor((params.now ?? new Date()).getTime() / 1000);
  const command = parseAs(commandSchema, params.command, "the command to sign", "internal");
  const claims = {
    iss: "baton",
    aud: params.placement,
    jti: params.nonce ?? newNonce(),
    iat: issuedAt,
    exp: issuedAt + commandLifeSeconds,
    epoch: params.epoch,
    term: params.term,
    command,
  };
  return signJws({ type: tokenType, payload: JSON.stringify(claims), key: params.key });
}

export interface VerifyCommandParams {
  readonly key: PublicKey;
  readonly placement: string;
  readonly token: string;
  readonly now?: Date | undefined;
}

/**
 * The command of a token that this placement may act on, which is signed by `key` and at most 30 s old (10 s more for clocks that differ).
 *
 * @throws AppError `token-expired`, `token-foreign` (for another placement) or `unauthenticated` (everything else)
 */
export async function verifyCommand(params: VerifyCommandParams): Promise<VerifiedCommand> {
  const { key, placement, token, now = new Date() } = params;
  try {
    const { payload } = verifyJws({ type: tokenType, jws: token, key, longest: longestToken });
    const claims: unknown = JSON.parse(payload);
    const exp = checkToken(claims, placement, Math.floor(now.getTime() / 1000));
    const { command, epoch, term, jti } = readClaims(claims);
    return { command, epoch, term, nonce: jti, expiresAt: exp + commandClockToleranceSeconds };
  } catch (error) {
    throw isAppError(error) ? error : refuse("unauthenticated", "is not valid", error);
  }
}

function readClaims(claims: unknown): v.InferOutput<typeof claimsSchema> {
  try {
    return parseAs(claimsSchema, claims, "the claims");
  } catch (error) {
    throw refuse("unauthenticated", "is not valid", error);
  }
}

/**
 * Who it is from, whom it is for, and when (RFC 7519, section 4.1). Gives its end.
 *
 * @param now seconds since 1970
 * @throws AppError
 */
function checkToken(claims: unknown, placement: string, now: number): number {
  if (typeof claims !== "object" || claims === null) throw refuse("unauthenticated", "is not valid");
  const { iss, aud, exp, iat, nbf } = claims as Readonly<Record<string, unknown>>;
  const tolerance = commandClockToleranceSeconds;
  if (iss !== "baton" || Array.isArray(aud)) throw refuse("unauthenticated", "is not valid");
  if (aud !== placement) throw refuse("token-foreign", "is for another placement");
  if (typeof exp !== "number" || typeof iat !== "number") throw refuse("unauthenticated", "is not valid");
  if (nbf !== undefined && !(typeof nbf === "number" && nbf <= now + tolerance))
    throw refuse("unauthenticated", "is not valid yet");
  if (exp <= now - tolerance || now - iat > commandLifeSeconds + tolerance)
    throw refuse("token-expired", "has expired; send a new one");
  if (iat > now + tolerance)
    throw refuse("unauthenticated", "is from the future; set the clocks of both machines");
  return exp;
}

const refuse = (code: ErrorCode, why: string, cause?: unknown): AppError =>
  new AppError(code, `cannot accept the command: its token ${why}`, { cause });
