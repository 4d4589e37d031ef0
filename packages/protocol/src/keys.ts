import { generateKeyPairSync } from "node:crypto";
import * as v from "valibot";
import { parseAs } from "./parse.ts";
import { strictObject } from "./schema.ts";

const thirtyTwoBytes = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/, "must be 32 bytes as base64url"));

/** An Ed25519 public key as JWK (RFC 8037). */
export const publicKeySchema = strictObject({
  kty: v.literal("OKP"),
  crv: v.literal("Ed25519"),
  x: thirtyTwoBytes,
});
export type PublicKey = v.InferOutput<typeof publicKeySchema>;

/** An Ed25519 key pair as JWK; kept in files of mode 0600 only. */
export const privateKeySchema = strictObject({ ...publicKeySchema.entries, d: thirtyTwoBytes });
export type PrivateKey = v.InferOutput<typeof privateKeySchema>;

/** A new Ed25519 key pair: `publicKey` is what others may know. */
export async function createKeyPair(): Promise<{
  readonly publicKey: PublicKey;
  readonly privateKey: PrivateKey;
}> {
  const privateKey = parseAs(
    privateKeySchema,
    generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" }),
    "the new key",
    "internal",
  );
  return { publicKey: publicKeyOf(privateKey), privateKey };
}

/** The public half, without a trace of `d`. */
export const publicKeyOf = ({ kty, crv, x }: PrivateKey): PublicKey => ({ kty, crv, x });
