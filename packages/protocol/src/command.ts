import { createHash, timingSafeEqual } from "node:crypto";
import { SignJWT, errors as joseErrors, jwtVerify } from "jose";
import * as z from "zod/mini";
import { AppError } from "./errors.ts";
import { commandKeySchema, epochSchema, newNonce, operationIdSchema, runSchema } from "./ids.ts";
import { type PrivateKey, type PublicKey, importKey } from "./keys.ts";

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
  /** Seconds since 1970; after it the nonce may be forgotten. */
  readonly expiresAt: number;
}

export const commandLifeSeconds = 30;
/** Clocks of two machines may differ by this. */
export const commandClockToleranceSeconds = 10;
const tokenType = "baton-command+jwt";

export const bodySha256 = (body: string): string => createHash("sha256").update(body).digest("hex");

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
  readonly nonce?: string | undefined;
  readonly now?: Date | undefined;
}

/** A JWT (EdDSA, 30 s) for one placement and epoch with a nonce of its own. */
export async function signCommand(params: SignCommandParams): Promise<string> {
  const issuedAt = Math.floor((params.now ?? new Date()).getTime() / 1000);
  return new SignJWT({ epoch: params.epoch, command: commandSchema.parse(params.command) })
    .setProtectedHeader({ alg: "EdDSA", typ: tokenType })
    .setIssuer("baton")
    .setAudience(params.placement)
    .setJti(params.nonce ?? newNonce())
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + commandLifeSeconds)
    .sign(await importKey(params.key));
}

export interface VerifyCommandParams {
  readonly key: PublicKey;
  readonly placement: string;
  readonly token: string;
  readonly now?: Date | undefined;
}

/** @throws AppError `token-expired`, `token-foreign` or `unauthenticated`. */
export async function verifyCommand(params: VerifyCommandParams): Promise<VerifiedCommand> {
  try {
    const { payload } = await jwtVerify(params.token, await importKey(params.key), {
      algorithms: ["EdDSA"],
      typ: tokenType,
      issuer: "baton",
      audience: params.placement,
      clockTolerance: commandClockToleranceSeconds,
      maxTokenAge: commandLifeSeconds,
      requiredClaims: ["jti", "exp", "iat"],
      currentDate: params.now ?? new Date(),
    });
    const claims = claimsSchema.parse(payload);
    return { command: claims.command, epoch: claims.epoch, nonce: claims.jti, expiresAt: claims.exp };
  } catch (error) {
    if (error instanceof joseErrors.JWTExpired)
      throw new AppError(
        "token-expired",
        "cannot accept the command: its token has expired; send a new one",
        { cause: error },
      );
    if (error instanceof joseErrors.JWTClaimValidationFailed && error.claim === "aud")
      throw new AppError("token-foreign", "cannot accept the command: its token is for another placement", {
        cause: error,
      });
    throw new AppError("unauthenticated", "cannot accept the command: its token is not valid", {
      cause: error,
    });
  }
}
