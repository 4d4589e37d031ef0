import { generateKeyPairSync } from "node:crypto";
import * as z from "zod/mini";
import { deferred } from "./deferred.ts";

const thirtyTwoBytes = z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/, "must be 32 bytes as base64url"));

/** An Ed25519 public key as JWK (RFC 8037). */
export const publicKeySchema = deferred(() =>
  z.strictObject({
    kty: z.literal("OKP"),
    crv: z.literal("Ed25519"),
    x: thirtyTwoBytes,
  }),
);
export type PublicKey = z.infer<typeof publicKeySchema>;

/** An Ed25519 key pair as JWK; kept in files of mode 0600 only. */
export const privateKeySchema = deferred(() =>
  z.strictObject({ ...publicKeySchema.shape, d: thirtyTwoBytes }),
);
export type PrivateKey = z.infer<typeof privateKeySchema>;

/** A new Ed25519 key pair: `publicKey` is what others may know. */
export async function createKeyPair(): Promise<{
  readonly publicKey: PublicKey;
  readonly privateKey: PrivateKey;
}> {
  const privateKey = privateKeySchema.parse(
    generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" }),
  );
  return { publicKey: publicKeyOf(privateKey), privateKey };
}

/** The public half, without a trace of `d`. */
export const publicKeyOf = ({ kty, crv, x }: PrivateKey): PublicKey => ({ kty, crv, x });
