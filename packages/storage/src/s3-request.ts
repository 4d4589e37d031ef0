import http from "node:http";
import { AppError, type AccessKey } from "@baton/protocol";
import type { S3Answer } from "./s3-answer.ts";
import { signRequest } from "./s3-signature.ts";

export interface S3Request {
  readonly method: "GET" | "PUT" | "DELETE";
  readonly key: string;
  readonly body?: Uint8Array | string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** In words, for errors: "write "a/b"". */
  readonly doing: string;
  /** From the call until the last byte of the answer. */
  readonly timeoutMs: number;
}

export interface S3Client {
  send(request: S3Request): Promise<S3Answer>;
  close(): void;
}

/** How a bucket is reached. */
export interface S3Location {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** `path` (default): `https://store/bucket/key`; `virtual-host`: `https://bucket.store/key`. */
  readonly addressing?: "path" | "virtual-host" | undefined;
  /** Certificates (PEM) to trust instead of the system's. */
  readonly ca?: string | undefined;
}

/** Idle connections end before usual servers (Node: 5 s) end them, so that a request is seldom sent into a closing one. */
const idleMs = 4_000;
/** Leases, receipts and pages of listings are far smaller; whatever lies in their place must not fill the memory. */
const largestAnswer = 16 * 1_024 * 1_024;

/**
 * Signed requests (SigV4, payload included) to one bucket. Nothing is retried.
 *
 * Lean because the agent idles with it: node:http, as `fetch` and `Headers` load undici (10 MB resident), and TLS (4 MB)
 * only where the endpoint is https.
 */
export function createS3Client(
  params: S3Location & {
    /** A function is asked before every request, so that a rotated key counts at once. */
    readonly accessKey: AccessKey | (() => Promise<AccessKey>);
    /** What a request says that the time is; by default this machine's clock. */
    readonly now?: (() => Date) | undefined;
  },
): S3Client {
  const { endpoint, region, now = () => new Date() } = params;
  const base = bucketUrl(params);
  const keyOf = typeof params.accessKey === "function" ? params.accessKey : null;
  // Begun here, so that loading TLS is not in the first request's time.
  const transport = openTransport(base.protocol === "https:", params.ca);

  const send = async (request: S3Request): Promise<S3Answer> => {
    const { method, key } = request;
    const url = urlOf(base, key);
    const accessKey = keyOf === null ? (params.accessKey as AccessKey) : await keyOf();
    const body = typeof request.body === "string" ? Buffer.from(request.body) : request.body;
    const given = request.headers ?? {};
    const headers = {
      ...signRequest({ method, url, headers: given, body, region, accessKey, at: now() }),
      ...(body === undefined ? {} : { "content-length": body.byteLength }),
    };
    const { open } = await transport;
    return exchange({ request, endpoint, body, open: () => open(url, { method, headers }) });
  };
  const close = async (): Promise<void> => (await transport).close();
  return { send, close: () => void close() };
}

export interface Transport {
  readonly open: (url: URL, options: http.RequestOptions) => http.ClientRequest;
  readonly close: () => void;
}

export async function openTransport(secure: boolean, ca: string | undefined): Promise<Transport> {
  const { Agent, request } = secure ? await import("node:https") : http;
  const agent = new Agent({ keepAlive: true, timeout: idleMs, ...(ca === undefined ? {} : { ca }) });
  return {
    open: (url, options) => request(url, { ...options, agent }),
    close: () => agent.destroy(),
  };
}

/** Where the keys of the bucket begin, with a slash at the end. */
function bucketUrl({ endpoint, bucket, addressing }: S3Location): URL {
  const url = parseEndpoint(endpoint);
  if (addressing === "virtual-host") url.hostname = `${bucket}.${url.hostname}`;
  const path = url.pathname.replace(/\/$/, "");
  url.pathname = addressing === "virtual-host" ? `${path}/` : `${path}/${bucket}/`;
  return url;
}

/** @throws AppError `invalid-configuration`. */
export function parseEndpoint(endpoint: string): URL {
  const url = URL.parse(endpoint);
  const isUsable =
    url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
  // Not shown in the error: what stands there may be a password.
  if (!isUsable || !isDecodable(url.pathname))
    throw new AppError(
      "invalid-configuration",
      "cannot use the endpoint of the store: it is not an http or https URL without user and password; give one like https://s3.example.com",
    );
  return url;
}

/** The path is decoded once more to be signed. */
function isDecodable(path: string): boolean {
  try {
    return decodeURIComponent(path) !== "";
  } catch {
    return false;
  }
}

/** @throws AppError `invalid-request` for a key that a URL would resolve to another one (segments "." and ".."). */
function urlOf(base: URL, key: string): URL {
  // encodeURIComponent leaves !'()* as they are; SigV4 wants them encoded in the canonical path, and the signer does that itself.
  const path = `${base.pathname}${key.split("/").map(encodeURIComponent).join("/")}`;
  const url = new URL(path, base);
  if (url.pathname !== path)
    throw new AppError("invalid-request", `cannot use the key "${key}": "." and ".." have a meaning in URLs`);
  return url;
}

/** One request and its whole answer, or an error that says whether it can have reached the store. */
export function exchange(params: {
  readonly request: Pick<S3Request, "doing" | "timeoutMs">;
  readonly endpoint: string;
  readonly body: Uint8Array | undefined;
  readonly open: () => http.ClientRequest;
}): Promise<S3Answer> {
  const { request, endpoint, body } = params;
  const { promise, resolve, reject } = Promise.withResolvers<S3Answer>();
  let sent = false;
  const fail = (cause: Error): void => reject(lost({ request, endpoint, sent, cause }));

  const outgoing = params.open();
  // One timer for connecting, sending and the last byte of the answer: nothing can hang behind it.
  const timer = setTimeout(() => {
    fail(new Error(`no answer within ${Math.round(request.timeoutMs)} ms`));
    outgoing.destroy();
  }, request.timeoutMs);
  outgoing.on("socket", (socket) => {
    sent = !socket.connecting;
    // With TLS nothing of the request leaves before the handshake is done.
    const ready = "encrypted" in socket ? "secureConnect" : "connect";
    if (!sent) socket.once(ready, () => (sent = true));
  });
  outgoing.on("error", fail);
  outgoing.on("response", (response) => {
    const chunks: Buffer[] = [];
    let length = 0;
    response.on("data", (chunk: Buffer) => {
      length += chunk.byteLength;
      if (length <= largestAnswer) return void chunks.push(chunk);
      reject(tooLarge(request, endpoint));
      outgoing.destroy();
    });
    response.on("error", fail);
    response.on("end", () => {
      const { statusCode: status = 0, headers } = response;
      resolve({
        status,
        etag: headers.etag,
        server: headers["server"]?.toString(),
        date: headers.date,
        body: Buffer.concat(chunks),
      });
    });
  });
  outgoing.end(body);
  return promise.finally(() => clearTimeout(timer));
}

const tooLarge = (request: Pick<S3Request, "doing">, endpoint: string): AppError =>
  new AppError(
    "storage-failed",
    `cannot ${request.doing} at ${endpoint}: the answer is larger than ${largestAnswer} bytes, which nothing of Baton's is; find out who wrote it`,
  );

function lost(params: {
  readonly request: Pick<S3Request, "doing">;
  readonly endpoint: string;
  readonly sent: boolean;
  readonly cause: Error;
}): AppError {
  const { request, endpoint, sent, cause } = params;
  const reason = "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
  const advice = isDistrust(reason)
    ? `its certificate is not trusted (${reason}); give the binding the right CA bundle, or the store a certificate for this name`
    : `there is no connection (${reason}); check the endpoint and the network`;
  return sent
    ? new AppError(
        "storage-unclear",
        `cannot ${request.doing} at ${endpoint}: the answer did not come to its end (${reason}) and it is not known what the store did; ask again once it answers`,
        { cause },
      )
    : new AppError("storage-unreachable", `cannot ${request.doing} at ${endpoint}: ${advice}`, { cause });
}

/** What Node's TLS says of a certificate that does not hold, as opposed to a peer that cannot be talked to. */
const isDistrust = (reason: string): boolean =>
  /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|INVALID_CA|HOSTNAME_MISMATCH/.test(reason);
