import { AppError } from "@baton/protocol";
import { Agent, type Dispatcher } from "undici";

/** PEM. `ca` is whom to trust instead of the public authorities; `cert` and `key` are ours, for mutual TLS. */
export interface TlsOptions {
  readonly ca?: string | Buffer | readonly (string | Buffer)[] | undefined;
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  /** The name that the certificate must be for, where it is not the address's. */
  readonly servername?: string | undefined;
}

export interface ConnectionOptions {
  readonly tls?: TlsOptions | undefined;
  /** Brings its own TLS options; it is not closed. */
  readonly dispatcher?: Dispatcher | undefined;
}

export interface OpenDispatcher {
  readonly dispatcher: Dispatcher;
  readonly close: () => Promise<void>;
}

const largestAnswerBytes = 1_048_576;

/**
 * Connections of one call's own: none is left behind when it ends, so that a script ends with it.
 *
 * @throws AppError `invalid-request` for options that contradict each other or the address
 */
export function openDispatcher(url: URL, { tls, dispatcher }: ConnectionOptions): OpenDispatcher {
  const refuse = (why: string): AppError =>
    new AppError("invalid-request", `cannot connect to ${url.host}: ${why}`);
  if (tls !== undefined && dispatcher !== undefined)
    throw refuse('give either "tls" or a "dispatcher" that has these options');
  if (tls !== undefined && url.protocol !== "https:") throw refuse('"tls" is for https:// addresses only');
  if ((tls?.cert === undefined) !== (tls?.key === undefined))
    throw refuse('"tls.cert" and "tls.key" belong together; one is missing');
  if (dispatcher !== undefined) return { dispatcher, close: async () => {} };
  const { ca, cert, key, servername } = tls ?? {};
  const own = new Agent({
    maxResponseSize: largestAnswerBytes,
    connect: {
      ...(ca !== undefined && { ca: typeof ca === "string" || Buffer.isBuffer(ca) ? ca : [...ca] }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(servername !== undefined && { servername }),
    },
  });
  return { dispatcher: own, close: () => own.destroy() };
}
