import { type Dispatcher, request } from "undici";

/** What became of one request. `unreachable` with `maybeTaken` means: nobody knows whether it had an effect. */
export type CallResult =
  | { readonly kind: "answered"; readonly status: number; readonly text: string }
  | {
      readonly kind: "unreachable";
      readonly why: string;
      readonly maybeTaken: boolean;
      /** What to do, where that follows from the reason. */
      readonly remedy?: string | undefined;
      readonly cause: unknown;
    };

export interface HttpCall {
  readonly url: URL;
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Undefined for what needs none. */
  readonly token: string | undefined;
  readonly dispatcher?: Dispatcher | undefined;
  readonly body?: unknown;
  /** For the whole of it, in ms: connecting, headers and body. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

const unknownIssuer = "nobody who is trusted certified it";
/** Errors of TLS: the same with every try. */
const untrusted: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownIssuer,
  SELF_SIGNED_CERT_IN_CHAIN: unknownIssuer,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownIssuer,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownIssuer,
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "it does not speak TLS",
};

/** Errors that come before the first byte of a request has left. */
const notSent: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused",
  ENOTFOUND: "the host is not known",
  EAI_AGAIN: "the host is not known",
  EHOSTUNREACH: "there is no way to the host",
  ENETUNREACH: "there is no way to the host",
  UND_ERR_CONNECT_TIMEOUT: "the connection was not accepted in time",
  ...untrusted,
};

/** Sends one request, once. @throws only the reason of the caller's own signal. */
export async function callOnce(call: HttpCall): Promise<CallResult> {
  const deadline = AbortSignal.timeout(call.deadlineMs);
  const signal = call.signal === undefined ? deadline : AbortSignal.any([deadline, call.signal]);
  try {
    const answer = await request(call.url, {
      method: call.method,
      headers: {
        ...(call.token === undefined ? {} : { authorization: `Bearer ${call.token}` }),
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: call.body === undefined ? null : JSON.stringify(call.body),
      headersTimeout: 0,
      bodyTimeout: 0,
      signal,
      ...(call.dispatcher !== undefined && { dispatcher: call.dispatcher }),
    });
    return { kind: "answered", status: answer.statusCode, text: await answer.body.text() };
  } catch (cause) {
    call.signal?.throwIfAborted();
    if (deadline.aborted)
      return { kind: "unreachable", why: `no answer in ${call.deadlineMs} ms`, maybeTaken: true, cause };
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const refused = notSent[code];
    return {
      kind: "unreachable",
      why: refused ?? "the connection was cut",
      maybeTaken: refused === undefined,
      remedy: code in untrusted ? "see --ca-file and BATON_CA_FILE, and the address" : undefined,
      cause,
    };
  }
}
