import { open } from "node:fs/promises";
import { join } from "node:path";
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import type { CommitEntry } from "./commit-log.ts";
import type { ObjectStore, WriteCondition } from "./object-store.ts";
import type { S3Request } from "./s3-request.ts";
import type { StoreKey, StoreKeys } from "./store-keys.ts";
import { isAllowed } from "./store-keys.ts";
import { listObjects } from "./list-objects.ts";
import { queryValue } from "./s3-request.ts";
import { parseRange } from "./range.ts";
import { receiveBody } from "./receive-body.ts";
import { S3Error } from "./s3-error.ts";
import { textElement, xmlDocument } from "./xml.ts";
import { verifySignature } from "./signature.ts";

export interface S3Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body?: string | Readable | undefined;
}

/** One request on its way to an answer, authenticated. */
interface Call {
  readonly store: ObjectStore;
  readonly request: S3Request;
  readonly key: StoreKey;
  readonly payload: ReturnType<typeof verifySignature>["payload"];
  readonly stream: IncomingMessage;
}

type Operation = (call: Call) => Promise<S3Response> | S3Response;

const listParameters = [
  "list-type",
  "prefix",
  "delimiter",
  "max-keys",
  "continuation-token",
  "start-after",
  "encoding-type",
  "fetch-owner",
];

/** Everything this store does; what is not here is answered 501. */
const operations: Readonly<
  Record<string, { readonly run: Operation; readonly query: ReadonlyArray<string> }>
> = {
  "PUT object": { run: putObject, query: [] },
  "GET object": { run: getObject, query: [] },
  "HEAD object": { run: headObject, query: [] },
  "DELETE object": { run: deleteObject, query: [] },
  "GET bucket": { run: listBucket, query: listParameters },
  "HEAD bucket": { run: headBucket, query: [] },
};

/** Anything else, a copy source or an ACL say, asks for what this store would silently not do. */
const knownHeaders = [
  "x-amz-checksum-crc32",
  "x-amz-checksum-mode",
  "x-amz-content-sha256",
  "x-amz-date",
  "x-amz-decoded-content-length",
  "x-amz-sdk-checksum-algorithm",
  "x-amz-trailer",
  "x-amz-user-agent",
];

/** Authenticates one request and does what it asks. @throws S3Error for every refusal. */
export async function answer(params: {
  readonly store: ObjectStore;
  readonly keys: StoreKeys;
  readonly request: S3Request;
  readonly stream: IncomingMessage;
}): Promise<S3Response> {
  const { store, keys, request, stream } = params;
  const { key, payload } = verifySignature(request, keys.keys, Date.now());
  const operation = operations[`${request.method} ${request.key === "" ? "bucket" : "object"}`];
  if (operation === undefined || request.bucket === "")
    throw notImplemented(`${request.method} ${request.path}`);
  refuseUnknownParts(request, operation.query);
  if (!keys.buckets.includes(request.bucket))
    throw new S3Error("NoSuchBucket", `The bucket ${request.bucket} does not exist.`);
  return operation.run({ store, request, key, payload, stream });
}

async function putObject(call: Call): Promise<S3Response> {
  const { store, request, key, payload, stream } = call;
  requireAccess(call, "write", request.key);
  const condition = writeCondition(request);
  const body = await receiveBody({ directory: store.directory, request, payload, stream });
  await store.commit({ ...address(request), accessKeyId: key.accessKeyId, condition, body });
  return { status: 200, headers: { etag: body.etag, "content-length": 0 } };
}

async function deleteObject(call: Call): Promise<S3Response> {
  const { store, request, key } = call;
  requireAccess(call, "write", request.key);
  const condition = writeCondition(request);
  if (condition.kind === "absent") throw notImplemented("If-None-Match on a delete");
  await store.commit({ ...address(request), accessKeyId: key.accessKeyId, condition });
  return { status: 204, headers: {} };
}

function headObject(call: Call): S3Response {
  return { status: 200, headers: objectHeaders(findObject(call)) };
}

async function getObject(call: Call): Promise<S3Response> {
  const entry = findObject(call);
  const range = parseRange(call.request.headers.get("range"), entry.size);
  const file = await open(join(call.store.directory, entry.file ?? ""), "r");
  const headers = objectHeaders(entry);
  if (range === null) return { status: 200, headers, body: file.createReadStream() };
  return {
    status: 206,
    headers: {
      ...headers,
      "content-length": range.end - range.start + 1,
      "content-range": `bytes ${range.start}-${range.end}/${entry.size}`,
    },
    body: file.createReadStream(range),
  };
}

function headBucket(call: Call): S3Response {
  if (!call.key.allow.some((grant) => grant.bucket === call.request.bucket)) throw accessDenied();
  return { status: 200, headers: {} };
}

function listBucket(call: Call): S3Response {
  const { request, store } = call;
  const value = (name: string): string => queryValue(request, name) ?? "";
  if (value("list-type") !== "2") throw notImplemented("a listing other than ListObjectsV2");
  const [prefix, delimiter, startAfter] = [value("prefix"), value("delimiter"), value("start-after")];
  requireAccess(call, "read", prefix);
  const maxKeys = value("max-keys") === "" ? 1000 : Number(value("max-keys"));
  if (!Number.isInteger(maxKeys) || maxKeys < 0)
    throw new S3Error("InvalidArgument", "max-keys is no number ≥ 0.");
  const token = queryValue(request, "continuation-token");
  const objects = store.objects(request.bucket);
  const page = listObjects({
    keys: objects.keys(),
    prefix,
    delimiter,
    startAfter,
    token,
    maxKeys: Math.min(maxKeys, 1000),
  });

  const encoded = value("encoding-type") === "url";
  const name = (text: string): string => (encoded ? encodeURIComponent(text).replaceAll("%2F", "/") : text);
  const body = xmlDocument('ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', [
    textElement("Name", request.bucket),
    textElement("Prefix", name(prefix)),
    ...(delimiter === "" ? [] : [textElement("Delimiter", name(delimiter))]),
    ...(startAfter === "" ? [] : [textElement("StartAfter", name(startAfter))]),
    ...(encoded ? [textElement("EncodingType", "url")] : []),
    textElement("MaxKeys", maxKeys),
    textElement("KeyCount", page.items.length),
    textElement("IsTruncated", page.nextToken !== undefined),
    ...(token === undefined ? [] : [textElement("ContinuationToken", token)]),
    ...(page.nextToken === undefined ? [] : [textElement("NextContinuationToken", page.nextToken)]),
    ...page.items.map((item) => {
      const entry = objects.get(item.name);
      if (item.kind === "prefix" || entry === undefined)
        return `<CommonPrefixes>${textElement("Prefix", name(item.name))}</CommonPrefixes>`;
      return `<Contents>${[
        textElement("Key", name(item.name)),
        textElement("LastModified", entry.at),
        textElement("ETag", entry.etag ?? ""),
        textElement("Size", entry.size),
        textElement("StorageClass", "STANDARD"),
      ].join("")}</Contents>`;
    }),
  ]);
  return xmlResponse(200, body);
}

export function xmlResponse(status: number, body: string): S3Response {
  const headers = { "content-type": "application/xml", "content-length": Buffer.byteLength(body) };
  return { status, headers, body };
}

function findObject(call: Call): CommitEntry {
  const { request, store } = call;
  requireAccess(call, "read", request.key);
  const entry = store.objects(request.bucket).get(request.key);
  if (entry === undefined) throw new S3Error("NoSuchKey", "The object does not exist.");
  const match = request.headers.get("if-match");
  if (match !== undefined && !matchesEtag(match, entry))
    throw new S3Error("PreconditionFailed", "The condition of the request does not hold.");
  const noneMatch = request.headers.get("if-none-match");
  if (noneMatch !== undefined && matchesEtag(noneMatch, entry))
    throw new S3Error("NotModified", "The object is unchanged.");
  return entry;
}

function matchesEtag(header: string, entry: CommitEntry): boolean {
  const etag = quoted(header);
  return etag === "*" || etag === entry.etag;
}

function writeCondition(request: S3Request): WriteCondition {
  const noneMatch = request.headers.get("if-none-match");
  const match = request.headers.get("if-match");
  if (noneMatch !== undefined && (match !== undefined || noneMatch !== "*"))
    throw notImplemented("If-None-Match on a write with anything but * alone");
  if (noneMatch !== undefined) return { kind: "absent" };
  return match === undefined ? { kind: "none" } : { kind: "match", etag: quoted(match) };
}

function quoted(etag: string): string {
  return etag === "*" || etag.startsWith('"') ? etag : `"${etag}"`;
}

function address(request: S3Request): { readonly bucket: string; readonly key: string } {
  return { bucket: request.bucket, key: request.key };
}

function objectHeaders(entry: CommitEntry): S3Response["headers"] {
  return {
    etag: entry.etag ?? "",
    "content-length": entry.size,
    "content-type": "application/octet-stream",
    "last-modified": new Date(entry.at).toUTCString(),
  };
}

function refuseUnknownParts(request: S3Request, query: ReadonlyArray<string>): void {
  // x-id only repeats the operation's name, for the logs of AWS.
  const parameter = request.query.find(([name]) => name !== "x-id" && !query.includes(name))?.[0];
  if (parameter !== undefined) throw notImplemented(`the query parameter ${parameter}`);
  const header = [...request.headers.keys()].find(
    (name) => name.startsWith("x-amz-") && !knownHeaders.includes(name),
  );
  if (header !== undefined) throw notImplemented(`the header ${header}`);
  const trailer = request.headers.get("x-amz-trailer");
  if (trailer !== undefined && trailer !== "x-amz-checksum-crc32")
    throw notImplemented(`the trailer ${trailer}`);
}

function requireAccess(call: Call, access: "read" | "write", name: string): void {
  if (!isAllowed(call.key, access, call.request.bucket, name)) throw accessDenied();
}

function accessDenied(): S3Error {
  return new S3Error("AccessDenied", "The key may not do this here.");
}

function notImplemented(what: string): S3Error {
  return new S3Error("NotImplemented", `This development store does not implement ${what}.`);
}
