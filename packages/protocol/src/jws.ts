import { type KeyObject, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import type { PrivateKey, PublicKey } from "./keys.ts";

/*
 * Compact JWS (RFC 7515) with Ed25519 (RFC 8037), and nothing else of JOSE: one algorithm, one form, so that there is nothing to choose
 * for whoever sends a token.
 */

/** All that a header may say; `crit`, `jwk`, `b64` and every other member is refused (RFC 7515, section 4.1.11). */
export interface JwsHeader {
  readonly alg: "EdDSA";
  readonly typ: string;
  readonly kid?: string;
}

/** A header names a type and at most a placement. */
const headerLength = 512;

const base64url = (text: string): string => Buffer.from(text).toString("base64url");

/** The bytes of the one spelling that base64url has for them: no padding, no other alphabet, no stray bits. @throws Error */
function bytesOf(part: string): Buffer {
  const bytes = Buffer.from(part, "base64url");
  if (bytes.toString("base64url") !== part) throw new Error("a part is not base64url");
  return bytes;
}

/** Importing a key takes as long as using it; the same object is the same key. */
const keyObjects = new WeakMap<PublicKey | PrivateKey, KeyObject>();

function keyObject(key: PublicKey | PrivateKey, make: () => KeyObject): KeyObject {
  const known = keyObjects.get(key);
  if (known !== undefined) return known;
  const made = make();
  keyObjects.set(key, made);
  return made;
}

const jwk = ({ kty, crv, x }: PublicKey) => ({ kty, crv, x });
const publicObject = (key: PublicKey): KeyObject =>
  keyObject(key, () => createPublicKey({ key: jwk(key), format: "jwk" }));
const privateObject = (key: PrivateKey): KeyObject =>
  keyObject(key, () => {
    const made = createPrivateKey({ key: { ...jwk(key), d: key.d }, format: "jwk" });
    // OpenSSL takes `x` on trust: what we signed would verify nowhere.
    if (createPublicKey(made).export({ format: "jwk" }).x !== key.x)
      throw new Error("cannot sign: the halves of the key do not belong together");
    return made;
  });

/** @throws Error when the key's halves do not belong together */
export function signJws(params: {
  readonly type: string;
  readonly keyId?: string | undefined;
  readonly payload: string;
  readonly key: PrivateKey;
}): string {
  const { type, keyId, payload, key } = params;
  const header: JwsHeader = { alg: "EdDSA", typ: type, ...(keyId !== undefined && { kid: keyId }) };
  const signed = `${base64url(JSON.stringify(header))}.${base64url(payload)}`;
  return `${signed}.${sign(null, Buffer.from(signed), privateObject(key)).toString("base64url")}`;
}

/**
 * What `key` signed as `type`; nothing of it is parsed before the signature is verified, except the header.
 *
 * @param longest characters; anything longer is refused unread
 * @throws Error that says what is wrong, for the cause of an `AppError`
 */
export function verifyJws(params: {
  readonly type: string;
  readonly jws: string;
  readonly key: PublicKey;
  readonly longest: number;
}): { readonly payload: string; readonly keyId: string | undefined } {
  const { type, jws, key, longest } = params;
  if (jws.length > longest) throw new Error("it is too long");
  const { typ, kid } = readJwsHeader(jws);
  if (typ !== type) throw new Error(`its type is "${typ}"`);
  const end = jws.lastIndexOf(".");
  const signature = bytesOf(jws.slice(end + 1));
  const payload = bytesOf(jws.slice(jws.indexOf(".") + 1, end));
  if (signature.length !== 64 || !verify(null, Buffer.from(jws.slice(0, end)), publicObject(key), signature))
    throw new Error("its signature is wrong");
  return { payload: payload.toString(), keyId: kid };
}

/** The header of what may be a JWS of ours, unverified. @throws Error when it cannot be one */
export function readJwsHeader(jws: string): JwsHeader {
  const [first = "", ...rest] = jws.split(".", 4);
  if (rest.length !== 2) throw new Error("it has not three parts");
  if (first.length > headerLength) throw new Error("its header is too long");
  const text = bytesOf(first).toString();
  const header: unknown = JSON.parse(text);
  // One spelling only: a member that is there twice would mean one thing here and another elsewhere.
  if (JSON.stringify(header) !== text) throw new Error("its header is not compact JSON");
  if (!isHeader(header)) throw new Error("its header is not one of ours");
  return header;
}

function isHeader(value: unknown): value is JwsHeader {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { alg, typ, kid, ...more } = value as Record<string, unknown>;
  const hasKeyId = kid === undefined || typeof kid === "string";
  return alg === "EdDSA" && typeof typ === "string" && hasKeyId && Object.keys(more).length === 0;
}
