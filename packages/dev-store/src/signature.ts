import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { S3Request } from "./s3-request.ts";
import type { StoreKey, StoreKeys } from "./store-keys.ts";
import { queryValue } from "./s3-request.ts";
import { S3Error } from "./s3-error.ts";

/** What the signature says about the body: its SHA-256, nothing, nothing but a checksum that trails it, or how its chunks are signed. */
export type SignedPayload =
  | { readonly kind: "hash"; readonly sha256: string }
  | { readonly kind: "unsigned" }
  | { readonly kind: "unsigned-trailer" }
  | { readonly kind: "signed-chunks"; readonly check: ChunkCheck };

/** Told each chunk's signature and SHA-256 in order, the empty last one's too. @throws S3Error `SignatureDoesNotMatch`. */
export type ChunkCheck = (signature: string, sha256: string) => void;

const algorithm = "AWS4-HMAC-SHA256";
const maxSkewMs = 15 * 60_000;

interface Authorization {
  readonly accessKeyId: string;
  /** YYYYMMDD, the day the signing key is for. */
  readonly day: string;
  readonly region: string;
  readonly signedHeaders: ReadonlyArray<string>;
  readonly signature: string;
}

/**
 * Authenticates a header-signed request by AWS Signature Version 4 for S3, in any region.
 * @param now epoch milliseconds, for the clock skew.
 * @throws S3Error `AccessDenied` (unsigned), `AuthorizationHeaderMalformed`, `InvalidAccessKeyId`,
 * `RequestTimeTooSkewed`, `SignatureDoesNotMatch`, `NotImplemented` (presigned, signed trailers).
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function verifySignature(
  request: S3Request,
  keys: StoreKeys["keys"],
  now: number,
): { readonly key: StoreKey; readonly payload: SignedPayload } {
  const authorization = parseAuthorization(request);
  const key = keys.find((candidate) => candidate.accessKeyId === authorization.accessKeyId);
  if (key === undefined)
    throw new S3Error("InvalidAccessKeyId", "The access key id does not exist in this store.");
  const date = requestDate(request, authorization, now);
  const payloadHeader = request.headers.get("x-amz-content-sha256") ?? "";

  const canonical = canonicalRequest(request, authorization.signedHeaders, payloadHeader);
  const scope = `${authorization.day}/${authorization.region}/s3/aws4_request`;
  const toSign = [algorithm, date, scope, createHash("sha256").update(canonical).digest("hex")].join("\n");
  const secret = signingKey(key.secretAccessKey, authorization);
  requireSignature(authorization.signature, hmac(secret, toSign));
  const checkChunks = (): ChunkCheck => chunkCheck({ date, scope, secret, seed: authorization.signature });
  return { key, payload: parsePayload(payloadHeader, checkChunks) };
}

function requireSignature(signature: string, expected: Buffer): void {
  const given = Buffer.from(signature, "hex");
  if (given.length !== expected.length || !timingSafeEqual(given, expected))
    throw new S3Error("SignatureDoesNotMatch", "The signature does not match; check the secret access key.");
}

/**
 * Each chunk's signature covers the one before it, the first one the request's.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
function chunkCheck(params: {
  readonly date: string;
  readonly scope: string;
  readonly secret: Buffer;
  readonly seed: string;
}): ChunkCheck {
  const { date, scope, secret, seed } = params;
  const empty = createHash("sha256").digest("hex");
  let previous = seed;
  return (signature, sha256) => {
    const toSign = [`${algorithm}-PAYLOAD`, date, scope, previous, empty, sha256].join("\n");
    requireSignature(signature, hmac(secret, toSign));
    previous = signature;
  };
}

function parseAuthorization(request: S3Request): Authorization {
  const header = request.headers.get("authorization");
  if (header === undefined) {
    if (queryValue(request, "X-Amz-Signature") !== undefined)
      throw new S3Error("NotImplemented", "Presigned URLs are not implemented.");
    throw new S3Error("AccessDenied", "The request is not signed.");
  }
  const match =
    /^AWS4-HMAC-SHA256 +Credential=([^/,\s]+)\/(\d{8})\/([^/,\s]+)\/s3\/aws4_request, *SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})$/.exec(
      header,
    );
  const [, accessKeyId, day, region, names, signature] = match ?? [];
  if (!accessKeyId || !day || !region || !names || !signature)
    throw new S3Error(
      "AuthorizationHeaderMalformed",
      `The authorization header is not a valid ${algorithm} one.`,
    );
  const signedHeaders = names.split(";");
  // An unsigned x-amz header could be added or changed by anyone on the way.
  const unsigned = ["host", ...[...request.headers.keys()].filter((name) => name.startsWith("x-amz-"))].find(
    (name) => !signedHeaders.includes(name),
  );
  if (unsigned !== undefined) throw new S3Error("AccessDenied", `The header ${unsigned} is not signed.`);
  return { accessKeyId, day, region, signedHeaders, signature };
}

function requestDate(request: S3Request, authorization: Authorization, now: number): string {
  const date = request.headers.get("x-amz-date") ?? "";
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  if (match === null)
    throw new S3Error("AccessDenied", "The x-amz-date header is missing or not a basic ISO date.");
  const [, year, month, day, hour, minute, second] = match;
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (!(Math.abs(now - at) <= maxSkewMs))
    throw new S3Error(
      "RequestTimeTooSkewed",
      "The request's time differs from the store's by more than 15 minutes.",
    );
  if (!date.startsWith(authorization.day))
    throw new S3Error(
      "AuthorizationHeaderMalformed",
      "The credential's date is not the date of the request.",
    );
  return date;
}

function parsePayload(header: string, checkChunks: () => ChunkCheck): SignedPayload {
  if (/^[0-9a-f]{64}$/.test(header)) return { kind: "hash", sha256: header };
  if (header === "UNSIGNED-PAYLOAD") return { kind: "unsigned" };
  if (header === "STREAMING-UNSIGNED-PAYLOAD-TRAILER") return { kind: "unsigned-trailer" };
  if (header === `STREAMING-${algorithm}-PAYLOAD`) return { kind: "signed-chunks", check: checkChunks() };
  if (header.startsWith("STREAMING-"))
    throw new S3Error("NotImplemented", `The payload signature ${header} is not implemented.`);
  throw new S3Error("InvalidRequest", "The x-amz-content-sha256 header is missing or invalid.");
}

function canonicalRequest(request: S3Request, signedHeaders: ReadonlyArray<string>, payload: string): string {
  const query = request.query
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .toSorted(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
  const headers = signedHeaders.map(
    (name) => `${name}:${(request.headers.get(name) ?? "").trim().replace(/ +/g, " ")}\n`,
  );
  // S3 encodes the path once and does not normalise it, unlike every other service.
  const path = request.path.split("/").map(encode).join("/");
  return [request.method, path, query, headers.join(""), signedHeaders.join(";"), payload].join("\n");
}

function signingKey(secret: string, { day, region }: Authorization): Buffer {
  return [day, region, "s3", "aws4_request"].reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`));
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

/** URI-encodes everything but the unreserved characters of RFC 3986. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
