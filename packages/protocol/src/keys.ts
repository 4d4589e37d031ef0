import {
  type CryptoKey,
  type JWK,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
} from "jose";
import * as z from "zod/mini";
import { AppError } from "./errors.ts";

/** An Ed25519 public key as JWK (RFC 8037). */
export const publicKeySchema = z.strictObject({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/)),
});
export type PublicKey = z.infer<typeof publicKeySchema>;

/** The private half; kept in files of mode 0600 only. */
export const privateKeySchema = z.strictObject({
  ...publicKeySchema.shape,
  d: z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/)),
});
export type PrivateKey = z.infer<typeof privateKeySchema>;

export async function createKeyPair(): Promise<{
  readonly publicKey: PublicKey;
  readonly privateKey: PrivateKey;
}> {
  const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const { x, d } = await exportJWK(pair.privateKey);
  if (x === undefined || d === undefined)
    throw new AppError("internal", "cannot create a key pair: the key is not exportable");
  return { publicKey: { kty: "OKP", crv: "Ed25519", x }, privateKey: { kty: "OKP", crv: "Ed25519", x, d } };
}

export const publicKeyOf = ({ kty, crv, x }: PrivateKey): PublicKey => ({ kty, crv, x });

/** RFC 7638 thumbprint: names a key in records and headers. */
export const keyThumbprint = (key: PublicKey): Promise<string> => calculateJwkThumbprint(key);

export async function importKey(key: PublicKey | PrivateKey): Promise<CryptoKey> {
  const imported = await importJWK(key as JWK, "EdDSA");
  if (imported instanceof Uint8Array)
    throw new AppError("internal", "cannot import the key: it is not an Ed25519 key");
  return imported;
}
