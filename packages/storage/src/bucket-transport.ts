import { AppError } from "@baton/protocol";
import { type S3Answer, failedAnswer } from "./s3-answer.ts";
import { type S3Location, exchange, openTransport, parseEndpoint } from "./s3-request.ts";

/** What goes with one command of the SDK to the transport; the first two by the SDK's own names. */
export interface CallOptions {
  readonly requestTimeout: number;
  readonly abortSignal?: AbortSignal;
  /** In words, for errors: "list "data/"". */
  readonly doing: string;
  /** The root element of the answer; null for one without a body. */
  readonly root: string | null;
}

/** What the SDK hands to its transport, as far as it is used here. */
interface Outgoing {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  /** Percent-encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>> | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | undefined;
}

interface BucketTransport {
  handle(
    outgoing: Outgoing,
    options: CallOptions,
  ): Promise<{
    readonly response: {
      readonly statusCode: number;
      readonly headers: Record<string, string>;
      readonly body: Uint8Array;
    };
  }>;
  destroy(): void;
}

/**
 * Sends the SDK's requests as all others are sent ({@link exchange}), so that a deadline covers the last byte and errors say whether
 * the store was reached, and lets only those answers through that are what was asked for: the SDK reads any other document as an
 * empty list.
 */
export function openBucketTransport(location: S3Location): BucketTransport {
  const { endpoint } = location;
  const transport = openTransport(parseEndpoint(endpoint).protocol === "https:", location.ca);
  return {
    handle: async (outgoing, options) => {
      const { doing, root, requestTimeout: timeoutMs, abortSignal } = options;
      const url = urlOf(outgoing);
      const { open } = await transport;
      const answer = await exchange({
        request: { doing, timeoutMs },
        endpoint,
        body: typeof outgoing.body === "string" ? Buffer.from(outgoing.body) : outgoing.body,
        open: () =>
          open(url, {
            method: outgoing.method,
            headers: outgoing.headers,
            ...(abortSignal === undefined ? {} : { signal: abortSignal }),
          }),
      });
      assertAnswer({ answer, root, doing, location });
      const headers: Record<string, string> = answer.etag === undefined ? {} : { etag: answer.etag };
      const body = root?.startsWith("List") === true ? withoutUnread(answer.body) : answer.body;
      return { response: { statusCode: answer.status, headers, body } };
    },
    destroy: () => void transport.then(({ close }) => close()),
  };
}

function urlOf(outgoing: Outgoing): URL {
  const { protocol, hostname, port, path } = outgoing;
  const query = Object.entries(outgoing.query ?? {}).flatMap(([name, value]) =>
    (typeof value === "string" ? [value] : (value ?? [""])).map((each) => `${encode(name)}=${encode(each)}`),
  );
  const search = query.length === 0 ? "" : `?${query.join("&")}`;
  const url = new URL(`${protocol}//${hostname}${port === undefined ? "" : `:${port}`}${path}${search}`);
  if (url.pathname !== path)
    throw new AppError(
      "invalid-request",
      `cannot use the path "${path}": "." and ".." have a meaning in URLs`,
    );
  return url;
}

const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);

/** @throws AppError for every answer that is not the document asked for, from its first element to its end. */
function assertAnswer(params: {
  readonly answer: S3Answer;
  readonly root: string | null;
  readonly doing: string;
  readonly location: S3Location;
}): void {
  const { answer, root, doing, location } = params;
  const { endpoint, bucket } = location;
  const { status } = answer;
  if (status < 200 || status > 299) throw failedAnswer({ doing, endpoint, bucket, answer });
  if (root === null) return;
  const seen = rootOf(answer.body);
  // S3 says 200 before it knows, when it completes an upload: such an error counts like a 5xx.
  if (seen === "Error") throw failedAnswer({ doing, endpoint, bucket, answer: { ...answer, status: 500 } });
  if (seen !== root || !isWhole(answer.body, root))
    throw new AppError(
      "storage-failed",
      `cannot ${doing} in bucket "${bucket}" at ${endpoint}: the answer is not a whole ${root}; check that the endpoint is an S3 store`,
      { meta: { status, root: seen } },
    );
}

function rootOf(body: Uint8Array): string | undefined {
  const begin = Math.max(0, body.indexOf(0x3c));
  const head = Buffer.from(body.subarray(begin, begin + 512)).toString("utf8");
  return /^(?:<\?xml[^>]*\?>\s*)?<([A-Za-z]+)/.exec(head)?.[1];
}

/** A body that ends with the connection may have been cut. */
function isWhole(body: Uint8Array, root: string): boolean {
  const tail = Buffer.from(body.subarray(-256)).toString("utf8").trimEnd();
  return tail.endsWith(`</${root}>`) || new RegExp(`<${root}[^<>]*/>$`).test(tail);
}

/**
 * A listing without what nobody reads: of a thousand entries the SDK makes objects and dates all the same, which doubles the garbage and is a
 * third of the work. Markup cannot stand in the text of an element, so what matches is one.
 */
function withoutUnread({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  const text = Buffer.from(buffer, byteOffset, byteLength).toString("utf8");
  return Buffer.from(text.replace(/<(Owner|LastModified|StorageClass)>.*?<\/\1>/gs, ""));
}
