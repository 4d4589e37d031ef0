import {
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
  createServer,
} from "node:http";
import {
  AppError,
  type Command,
  assertBodyMatches,
  forwardedTokenHeader,
  type CheckResult,
  keysBodySchema,
  parseAs,
  startBodySchema,
  toAppError,
} from "@baton/protocol";
import type { CommandGate, PassedCommand } from "./command-gate.ts";
import type { Log } from "./log.ts";
import { metricsContentType } from "./metrics-text.ts";
import type { Operations } from "./operations.ts";
import { sendHttpProblem, sendJson, sendProblem } from "./problem-response.ts";
import { bodyLimitBytes, hasBody, readBody } from "./read-body.ts";
import type { Receipts } from "./receipts.ts";
import type { Supervisor } from "./supervisor.ts";

export interface ServerDeps {
  readonly gate: CommandGate;
  readonly supervisor: Supervisor;
  readonly operations: Operations;
  readonly receipts: Receipts;
  readonly log: Log;
  /** Of the error table. */
  readonly onRefused: (code: string) => void;
  readonly metricsText: () => Promise<string>;
  /** Plain HTTP unless given. */
  readonly makeServer?: ((options: ServerOptions, onRequest: RequestListener) => Server) | undefined;
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** What follows the route's prefix. */
  readonly key: string;
}

interface Route {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** The path is a prefix, a key follows. */
  readonly keyed?: true;
  readonly handle: (call: Call) => Promise<void>;
}

const longestWaitMs = 30_000;
/** A client that sends slowly holds a connection for 15 s at most, and all of them together hold this many. */
const limits: ServerOptions = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 5_000,
  maxHeaderSize: 16_384,
};
const maxConnections = 4_096;

/** The agent's API of `agent-api.ts`, not yet listening. */
export function createAgentServer(deps: ServerDeps): Server {
  const routes = createRoutes(deps);
  const { makeServer = createServer } = deps;
  const server = makeServer(limits, (request, response) => {
    // Asked every second for as long as the agent lives: no route is looked for.
    if (request.method === "GET" && request.url === "/livez") return sendJson(response, 200, { live: true });
    serve(routes, request, response).catch((error: unknown) => sendProblem(response, error, deps.log));
  });
  server.maxConnections = maxConnections;
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  });
  return server;
}

async function serve(
  routes: readonly Route[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = urlOf(request);
  const matches = routes.filter(({ path, keyed }) =>
    keyed ? url?.pathname.startsWith(path) : url?.pathname === path,
  );
  const route = matches.find(({ method }) => method === request.method);
  if (url === null || matches[0] === undefined) {
    sendProblem(
      response,
      new AppError("not-found", "cannot find this path: the agent has no such route"),
      () => {},
    );
  } else if (route === undefined) {
    response.setHeader("allow", matches.map(({ method }) => method).join(", "));
    const detail = `cannot ${request.method ?? ""} this path: it takes ${matches[0].method} only`;
    sendHttpProblem(response, { status: 405, title: "Method Not Allowed", detail });
  } else if (route.method === "POST" && request.headers.origin !== undefined) {
    // Only browsers send it: a page that made a name point here passes for one of our own there.
    const detail = "cannot take a command from a web page";
    sendHttpProblem(response, { status: 403, title: "Forbidden", detail });
  } else if (hasBody(request) && !/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? "")) {
    const detail = "cannot read the body: its content type must be application/json";
    sendHttpProblem(response, { status: 415, title: "Unsupported Media Type", detail });
  } else {
    await route.handle({ request, response, url, key: url.pathname.slice(route.path.length) });
  }
}

/** Kubernetes' API server keeps `authorization` for itself when it passes a request on. */
const tokenOf = ({ request: { headers } }: Call): string | undefined => {
  const forwarded = headers[forwardedTokenHeader];
  return typeof forwarded === "string" ? forwarded : headers.authorization;
};

function createRoutes(deps: ServerDeps): readonly Route[] {
  const { gate, supervisor, operations, receipts, onRefused, metricsText } = deps;
  /** Lets the token through, then acts; a refused command has changed nothing, but its token is used up. */
  const command = async <K extends Command["kind"]>(
    call: Call,
    kind: K,
    act: (verified: PassedCommand<K>) => Promise<void>,
  ): Promise<PassedCommand<K>> => {
    let verified: PassedCommand<K> | null = null;
    try {
      verified = await gate.pass(tokenOf(call), kind);
      await act(verified);
      return verified;
    } catch (error) {
      onRefused(toAppError(error).code);
      // What nobody signed costs nothing that lasts.
      if (verified !== null) await gate.keepNonce(verified);
      throw error;
    }
  };
  const accepted = async ({ response }: Call, key: string): Promise<void> => {
    response.setHeader("location", `/v1/operations/${key}`);
    sendJson(response, 202, await operations.show(key));
  };
  const read = (call: Call): Promise<unknown> => gate.pass(tokenOf(call), "read");

  return [
    {
      method: "POST",
      path: "/v1/stop",
      async handle(call) {
        const { key } = (await command(call, "stop", (verified) => supervisor.stop(verified))).command;
        await accepted(call, key);
      },
    },
    {
      method: "POST",
      path: "/v1/start",
      async handle(call) {
        const { key } = (
          await command(call, "start", async (verified) => {
            const body = await readSigned(call.request, verified.command.bodySha256);
            await supervisor.start(verified, parseAs(startBodySchema, body, "the start body"));
          })
        ).command;
        await accepted(call, key);
      },
    },
    {
      method: "POST",
      path: "/v1/burn",
      async handle(call) {
        const { key } = (await command(call, "burn", (verified) => supervisor.burn(verified))).command;
        await accepted(call, key);
      },
    },
    {
      method: "POST",
      path: "/v1/withdraw",
      async handle(call) {
        await command(call, "withdraw", (verified) => supervisor.withdraw(verified));
        sendJson(call.response, 200, await supervisor.status());
      },
    },
    {
      method: "POST",
      path: "/v1/open",
      async handle(call) {
        await command(call, "open", (verified) => supervisor.open(verified));
        sendJson(call.response, 200, await supervisor.status());
      },
    },
    {
      method: "POST",
      path: "/v1/check",
      async handle(call) {
        let result: CheckResult | undefined;
        await command(call, "check", async (verified) => {
          result = await supervisor.check(verified);
        });
        sendJson(call.response, 200, result);
      },
    },
    {
      method: "POST",
      path: "/v1/keys",
      async handle(call) {
        await command(call, "keys", async (verified) => {
          const body = await readSigned(call.request, verified.command.bodySha256);
          const { key } = parseAs(keysBodySchema, body, "the keys body");
          sendJson(call.response, 200, await supervisor.replaceKey(verified, key));
        });
      },
    },
    {
      method: "GET",
      path: "/v1/operations/",
      keyed: true,
      async handle(call) {
        await read(call);
        const waitMs = Number(call.url.searchParams.get("waitMs") ?? "0");
        if (!Number.isInteger(waitMs) || waitMs < 0 || waitMs > longestWaitMs)
          throw new AppError(
            "invalid-request",
            `cannot wait: "waitMs" must be a whole number from 0 to ${longestWaitMs}`,
          );
        const gone = new AbortController();
        call.response.once("close", () => gone.abort());
        sendJson(call.response, 200, await operations.wait(call.key, waitMs, gone.signal));
      },
    },
    {
      method: "GET",
      path: "/v1/receipts/",
      keyed: true,
      async handle(call) {
        await read(call);
        const operation = await operations.show(call.key);
        if (operation.state !== "receipt")
          throw new AppError("not-found", "cannot show the receipt: there is none of that key yet");
        sendJson(call.response, 200, { receipt: await receipts.read(call.key) });
      },
    },
    {
      method: "GET",
      path: "/v1/status",
      async handle(call) {
        await read(call);
        sendJson(call.response, 200, await supervisor.status());
      },
    },
    {
      method: "GET",
      path: "/livez",
      handle: async ({ response }) => sendJson(response, 200, { live: true }),
    },
    {
      method: "GET",
      path: "/metrics",
      async handle({ response }) {
        const text = await metricsText();
        const length = Buffer.byteLength(text);
        response.writeHead(200, { "content-type": metricsContentType, "content-length": length });
        response.end(text);
      },
    },
    {
      method: "GET",
      path: "/readyz",
      async handle({ response }) {
        const ready = supervisor.isOpen();
        sendJson(response, ready ? 200 : 503, { ready });
      },
    },
  ];
}

/** A body that carries secrets, and that the command's token names by its hash. */
async function readSigned(request: IncomingMessage, expected: string): Promise<unknown> {
  const body = await readBody(request);
  if (body === null)
    throw new AppError("invalid-request", `cannot read the body: it is longer than ${bodyLimitBytes} bytes`);
  assertBodyMatches(body, expected);
  try {
    return JSON.parse(body);
  } catch {
    // Without the parser's own words: they quote the body.
    throw new AppError("invalid-request", "cannot read the body: it is not JSON");
  }
}

function urlOf(request: IncomingMessage): URL | null {
  // The host is not ours to believe: only path and query are used.
  return URL.parse(request.url ?? "", "http://agent");
}
