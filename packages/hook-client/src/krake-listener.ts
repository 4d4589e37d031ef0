import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type KrakeConfirmations,
  type KrakeConfirmationsOptions,
  createKrakeConfirmations,
} from "./krake-confirmations.ts";
import { bodyLimitBytes } from "./krake-wire.ts";

export interface KrakeListenerOptions extends Omit<KrakeConfirmationsOptions, "baseUrl"> {
  /** `127.0.0.1` unless given. */
  readonly host?: string | undefined;
  /** Any free one unless given. */
  readonly port?: number | undefined;
  /** How the service reaches this listener, where that is not `http://host:port` (behind a proxy that speaks TLS, for one). */
  readonly baseUrl?: string | undefined;
}

export interface KrakeListener {
  readonly confirmations: KrakeConfirmations;
  readonly close: () => Promise<void>;
}

/** Listens for the confirmations of one service, by plain HTTP. @throws what `listen` says when the address is not free */
export async function listenForKrakeConfirmations(
  options: KrakeListenerOptions = {},
): Promise<KrakeListener> {
  const { host = "127.0.0.1", port = 0 } = options;
  let confirmations: KrakeConfirmations | null = null;
  const server = createServer(
    {
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      connectionsCheckingInterval: 2_000,
      keepAliveTimeout: 5_000,
      maxHeaderSize: 16_384,
    },
    (request, response) => {
      if (confirmations !== null)
        void serve(confirmations, request, response).catch(() => response.destroy());
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  try {
    const authority = `${host.includes(":") ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
    const baseUrl = options.baseUrl ?? `http://${authority}`;
    confirmations = createKrakeConfirmations({ ...options, baseUrl });
    return { confirmations, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function serve(
  { handle, url }: KrakeConfirmations,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = "GET" } = incoming;
  const hasBody = method !== "GET" && method !== "HEAD";
  const answer = await handle(
    // The host is not ours to believe: only the path is used.
    new Request(URL.parse(incoming.url ?? "", url) ?? "http://unknown/", {
      method,
      ...(hasBody && { body: await readStart(incoming) }),
    }),
  );
  // The rest of a body that is too long shall not be read.
  if (!incoming.complete) response.setHeader("connection", "close");
  response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
}

/** As much of the body as it takes to see that it is too long. */
async function readStart(incoming: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > bodyLimitBytes) break;
  }
  return new Uint8Array(Buffer.concat(chunks));
}
