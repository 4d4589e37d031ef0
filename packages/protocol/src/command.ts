import { createHash, timingSafeEqual } from "node:crypto";
import { SignJWT, errors as joseErrors, jwtVerify } from "jose";
import * as z from "zod/mini";
import { AppError, type ErrorCode } from "./errors.ts";
import { commandKeySchema, epochSchema, newNonce, operationIdSchema, runSchema } from "./ids.ts";
import type { PrivateKey, PublicKey } from "./keys.ts";
import { parseAs } from "./parse.ts";

const deadlineMs = z.int().check(z.positive(), z.maximum(3_600_000));
const keyed = { key: commandKeySchema, operation: operationIdSchema };

/**
 * What an agent can be told.
 * `stop` ends exactly `run`; `start` turns `grant` into a run; `burn` gives up a grant that was never started;
 * `withdraw` forbids the stop `key` for ever; `open` lets clients in (`/readyz`); `read` changes nothing.
 */
export const commandSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("stop"), ...keyed, run: runSchema, deadlineMs }),
  z.strictObject({
    kind: z.literal("start"),
    ...keyed,
    grant: z.string().check(z.minLength(1)),
    deadlineMs,
    /** SHA-256 (hex) of the request body, which carries the data keys. */
    bodySha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  }),
  z.strictObject({ kind: z.literal("burn"), ...keyed, grant: z.string().check(z.minLength(1)) }),
  z.strictObject({ kind: z.literal("withdraw"), ...keyed }),
  z.strictObject({ kind: z.literal("open"), operation: operationIdSchema, run: runSchema }),
  z.strictObject({ kind: z.literal("read") }),
]);
export type Command = z.infer<typeof commandSchema>;

/** The body of `POST /v1/start`: environment variables that are not in the placement's configuration, data keys among them. */
export const startBodySchema = z.strictObject({ environment: z.record(z.string(), z.string()) });
export type StartBody = z.infer<typeof startBodySchema>;

const claimsSchema = z.object({
  aud: z.string(),
  jti: z.string().check(z.minLength(16)),
  exp: z.number(),
  epoch: epochSchema,
  command: commandSchema,
});

/** A verified command; the caller still has to refuse a `nonce` it has seen and an `epoch` older than it knows. */
export interface VerifiedCommand {
  readonly command: Command;
  readonly epoch: number;
  readonly nonce: string;
  /** Seconds since 1970, by the verifier's clock: from then on the token is refused, and its nonce may be forgotten. */
  readonly expiresAt: number;
}

export const commandLifeSeconds = 30;
/** Clocks of two machines may differ by this. */
export const commandClockToleranceSeconds = 10;
const tokenType = "baton-command+jwt";

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
  return new SignJWT({ epoch: params.epoch, command })
    .setProtectedHeader({ alg: "EdDSA", typ: tokenType })
    .setIssuer("baton")
    .setAudience(params.placement)
    .setJti(params.nonce ?? newNonce())
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + commandLifeSeconds)
    .sign(params.key);
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
  try {
    const { payload } = await jwtVerify(params.token, params.key, {
      algorithms: ["EdDSA"],
      typ: tokenType,
      issuer: "baton",
      audience: params.placement,
      clockTolerance: commandClockToleranceSeconds,
      maxTokenAge: commandLifeSeconds,
      requiredClaims: ["jti", "exp", "iat"],
      currentDate: params.now ?? new Date(),
    });
    const { command, epoch, jti, exp } = claimsSchema.parse(payload);
    return { command, epoch, nonce: jti, expiresAt: exp + commandClockToleranceSeconds };
  } catch (error) {
    throw refusalOf(error);
  }
}

function refusalOf(cause: unknown): AppError {
  const refuse = (code: ErrorCode, why: string): AppError =>
    new AppError(code, `cannot accept the command: its token ${why}`, { cause });
  if (cause instanceof joseErrors.JWTExpired) return refuse("token-expired", "has expired; send a new one");
  if (cause instanceof joseErrors.JWTClaimValidationFailed) {
    if (cause.claim === "aud") return refuse("token-foreign", "is for another placement");
    if (cause.claim === "iat")
      return refuse("unauthenticated", "is from the future; set the clocks of both machines");
  }
  return refuse("unauthenticated", "is not valid");
}
