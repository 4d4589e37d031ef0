import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import type { CommitEntry } from "./commit-log.ts";
import type { StoreKeys } from "./store-keys.ts";
import { answer, xmlResponse, type S3Response } from "./operations.ts";
import { ObjectStore } from "./object-store.ts";
import { parseS3Request } from "./s3-request.ts";
import { parseStoreKeys } from "./store-keys.ts";
import { S3Error } from "./s3-error.ts";
import { textElement, xmlDocument } from "./xml.ts";

/** Ways in which the store can be made to misbehave. */
export interface DevStoreFaults {
  /** Accepts every conditional write, like a store that does not know the condition headers. */
  readonly ignoreConditions?: boolean | undefined;
}

export interface DevStoreOptions {
  /** Created if missing; one store at a time can have it. */
  readonly directory: string;
  /** Path of a JSON file with the shape of `StoreKeys`; read once. Give this or `keys`. */
  readonly keysFile?: string | undefined;
  readonly keys?: StoreKeys | undefined;
  readonly host?: string | undefined;
  /** 0, the default, takes a free one. */
  readonly port?: number | undefined;
  readonly faults?: DevStoreFaults | undefined;
  /** Told every failure of the store itself, which the client sees as 500 `InternalError` or a connection that breaks. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

export interface DevStore {
  /** "http://host:port", for path-style requests in any region. */
  readonly endpoint: string;
  /** Every accepted write, in commit order. */
  log(): ReadonlyArray<CommitEntry>;
  /** Finishes requests under way (for at most two seconds), then stops and unlocks the directory; again is the same. */
  close(): Promise<void>;
}

const closeGraceMs = 2000;

/**
 * Starts an S3 endpoint for development and tests, never for production: one process, one disk, no TLS, and
 * every version of every object is kept for ever.
 * @throws Error that says which: the keys are invalid, the directory is in use or damaged, or the port is taken.
 */
export async function startDevStore(options: DevStoreOptions): Promise<DevStore> {
  const keys = await loadKeys(options);
  const onError = options.onError ?? (() => undefined);
  const store = await ObjectStore.open(resolve(options.directory), {
    ignoreConditions: options.faults?.ignoreConditions === true,
  });
  const server = createServer((message, response) => {
    void serve({ store, keys, onError }, message, response);
  });
  // Longer than clients keep idle connections, else they meet a reset when they use one again.
  server.keepAliveTimeout = 75_000;
  const host = options.host ?? "127.0.0.1";
  try {
    server.listen(options.port ?? 0, host);
    await once(server, "listening");
  } catch (cause) {
    await store.close();
    throw new Error(`cannot listen on ${host} port ${options.port ?? 0}: ${(cause as Error).message}`, {
      cause,
    });
  }
  const { port } = server.address() as AddressInfo;

  async function close(): Promise<void> {
    const closed = new Promise((done) => server.close(done));
    const deadline = setTimeout(() => server.closeAllConnections(), closeGraceMs);
    await closed;
    clearTimeout(deadline);
    await store.close();
  }

  let closing: Promise<void> | undefined;
  return {
    endpoint: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    log: () => store.commits,
    close: () => (closing ??= close()),
  };
}

async function loadKeys({ keys, keysFile }: DevStoreOptions): Promise<StoreKeys> {
  if (keys !== undefined) return parseStoreKeys(keys);
  if (keysFile === undefined) throw new Error("cannot start the store: neither keys nor keysFile is given");
  try {
    return parseStoreKeys(JSON.parse(await readFile(keysFile, "utf8")));
  } catch (cause) {
    // A JSON syntax error quotes the text around it, which may be a secret.
    const why = cause instanceof SyntaxError ? "it is not valid JSON" : String((cause as Error).message);
    throw new Error(`cannot use the keys file ${keysFile}: ${why}`, { cause });
  }
}

/** Answers one request; never rejects. */
async function serve(
  context: { store: ObjectStore; keys: StoreKeys; onError: (error: unknown) => void },
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const requestId = randomBytes(8).toString("hex").toUpperCase();
  const { method = "", url = "", rawHeaders } = message;
  let reply: S3Response;
  try {
    const request = parseS3Request({ method, url, rawHeaders });
    reply = await answer({ ...context, request, stream: message });
  } catch (error) {
    if (!(error instanceof S3Error || clientLeft(error))) context.onError(error);
    reply = errorResponse(error, url.split("?")[0] ?? "", requestId);
  }
  // What a refusal left unread would block the connection for the next request.
  message.resume();
  try {
    const own = { "x-amz-request-id": requestId, server: "baton-dev-store" };
    response.writeHead(reply.status, { ...reply.headers, ...own });
    if (reply.body === undefined || typeof reply.body === "string") response.end(reply.body);
    else await pipeline(reply.body, response);
  } catch (error) {
    response.destroy();
    if (!clientLeft(error)) context.onError(error);
  }
}

function clientLeft(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === "ECONNRESET" || code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE";
}

function errorResponse(error: unknown, resource: string, requestId: string): S3Response {
  const known =
    error instanceof S3Error
      ? error
      : new S3Error("InternalError", "The store failed; the write's fate is unknown.");
  // A 304 has no body (RFC 9110).
  if (known.status === 304) return { status: 304, headers: {} };
  const body = xmlDocument("Error", [
    textElement("Code", known.code),
    textElement("Message", known.message),
    textElement("Resource", resource),
    textElement("RequestId", requestId),
  ]);
  return xmlResponse(known.status, body);
}
