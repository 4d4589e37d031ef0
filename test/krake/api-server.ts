import { type IncomingMessage, type RequestListener, type ServerResponse, createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { TLSSocket } from "node:tls";
import type { KrakeApplication, KrakeState } from "./application.ts";
import type { KrakeAuthority } from "./certificates.ts";
import { type ApiAccess, type ApiAnswer, answerShutdown, problem } from "./shutdown-route.ts";

/**
 * `conflict`: 409, as after two concurrent writes; a number: that status; `reset`: the connection breaks, nothing was done; `lost`: it was
 * done, then the connection breaks; `hang`: nothing is done or answered; `observe`: an observer writes this state just before; `delayMs`: done
 * and answered late.
 */
export type Fault =
  | "conflict"
  | "reset"
  | "lost"
  | "hang"
  | number
  | { readonly observe: KrakeState }
  | { readonly delayMs: number };

/** One request to the API, as it came. */
export interface Confirm {
  readonly method: string;
  /** The request line's target, untouched. */
  readonly target: string;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** By the client certificate's common name; `anonymous` without one. */
  readonly user: string;
  /** Epoch ms. */
  readonly at: number;
  readonly fault: Fault | null;
  readonly stateBefore: KrakeState | null;
  /** Null while, or when never, answered. */
  status: number | null;
  /** What the answer told of the state. */
  answeredState: KrakeState | null;
}

export interface ApiServer {
  readonly endpoint: string;
  readonly confirms: readonly Confirm[];
  fail(...faults: readonly Fault[]): void;
  close(): Promise<void>;
}

export async function startApi(params: {
  readonly authority: KrakeAuthority | null;
  readonly access: ApiAccess;
  readonly application: () => KrakeApplication | null;
}): Promise<ApiServer> {
  const { authority, access, application } = params;
  const confirms: Confirm[] = [];
  const faults: Fault[] = [];
  const ended = new AbortController();

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const user = userOf(request);
    if (user === null) return void request.socket.destroy();
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const fault = faults.shift() ?? null;
    const { method = "", url: target = "" } = request;
    const confirm: Confirm = {
      method,
      target,
      rawHeaders: request.rawHeaders,
      headers: request.headers,
      body,
      user,
      at: Date.now(),
      fault,
      stateBefore: application()?.state ?? null,
      status: null,
      answeredState: null,
    };
    confirms.push(confirm);
    if (fault === "hang") return;
    if (fault === "reset") return void request.socket.destroy();
    const path = target.replace(/\?.*$/, "");
    const status = fault === "conflict" ? 409 : fault;
    if (typeof status === "number") return send(confirm, response, problem(status, "A planted fault", path));
    if (typeof fault === "object" && fault !== null) await act(fault);
    const answer = answerShutdown({ method, path, body, user }, application(), access);
    if (fault === "lost") return void request.socket.destroy();
    send(confirm, response, answer);
  };
  const act = async (fault: Exclude<Fault, string | number>): Promise<void> => {
    if ("delayMs" in fault) return delay(fault.delayMs, undefined, { signal: ended.signal });
    const observed = application();
    if (observed === null) return;
    observed.state = fault.observe;
    observed.shutdownGracePeriod = null;
  };

  const onRequest: RequestListener = (request, response) => {
    serve(request, response).catch(() => request.socket.destroy());
  };
  const server =
    authority === null
      ? createServer(onRequest)
      : createTlsServer(
          { ...authority.server, ca: authority.root, requestCert: true, rejectUnauthorized: false },
          onRequest,
        );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `${authority === null ? "http" : "https"}://127.0.0.1:${port}`,
    confirms,
    fail: (...more) => void faults.push(...more),
    close: () =>
      new Promise((resolve) => {
        ended.abort();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function send(confirm: Confirm, response: ServerResponse, answer: ApiAnswer): void {
  const { status, reason, headers, body } = answer;
  confirm.status = status;
  if (status === 200)
    confirm.answeredState = (JSON.parse(body) as { status: { state: KrakeState } }).status.state;
  const all = { ...headers, "content-length": Buffer.byteLength(body) };
  if (reason === undefined) response.writeHead(status, all);
  else response.writeHead(status, reason, all);
  response.end(body);
}

/** Python's CERT_OPTIONAL: none is fine, a wrong one is not (null). */
function userOf({ socket }: IncomingMessage): string | null {
  if (!(socket instanceof TLSSocket)) return "anonymous";
  const { subject } = socket.getPeerCertificate() as { subject?: { CN?: string | string[] } };
  if (subject === undefined) return "anonymous";
  return socket.authorized ? String(subject.CN) : null;
}
