import { S3Error } from "./s3-error.ts";

/** The head of one request, decoded once; everything after it works on this and not on the raw URL. */
export interface S3Request {
  readonly method: string;
  /** The decoded path, as signed: "/bucket/key". */
  readonly path: string;
  readonly bucket: string;
  /** "" for a request on the bucket itself. */
  readonly key: string;
  readonly query: ReadonlyArray<readonly [name: string, value: string]>;
  /** By lower-case name; repeated headers are joined by "," as the signature wants them. */
  readonly headers: ReadonlyMap<string, string>;
}

/**
 * Decodes the head of a path-style request.
 * @throws S3Error `InvalidURI` for a path that is no valid URI encoding, `KeyTooLongError` above 1024 bytes.
 */
export function parseS3Request(head: {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: ReadonlyArray<string>;
}): S3Request {
  const [rawPath = "", ...rawQuery] = head.url.split("?");
  if (!rawPath.startsWith("/")) throw new S3Error("InvalidURI", "The request path must start with a slash.");
  const path = decode(rawPath);
  const bucketEnd = path.indexOf("/", 1);
  const bucket = bucketEnd === -1 ? path.slice(1) : path.slice(1, bucketEnd);
  const key = bucketEnd === -1 ? "" : path.slice(bucketEnd + 1);
  if (Buffer.byteLength(key) > 1024)
    throw new S3Error("KeyTooLongError", "The key is longer than 1024 bytes.");
  return {
    method: head.method,
    path,
    bucket,
    key,
    query: parseQuery(rawQuery.join("?")),
    headers: joinHeaders(head.rawHeaders),
  };
}

/** The value of a query parameter, undefined when it is not there. */
export function queryValue(request: S3Request, name: string): string | undefined {
  return request.query.find(([candidate]) => candidate === name)?.[1];
}

function parseQuery(raw: string): S3Request["query"] {
  return raw
    .split("&")
    .filter((part) => part !== "")
    .map((part) => {
      const [name = "", ...value] = part.replaceAll("+", " ").split("=");
      return [decode(name), decode(value.join("="))] as const;
    });
}

function joinHeaders(raw: ReadonlyArray<string>): Map<string, string> {
  const headers = new Map<string, string>();
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at]?.toLowerCase() ?? "";
    const value = raw[at + 1] ?? "";
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error("InvalidURI", "The request URI is not a valid URI encoding.");
  }
}
