import { once } from "node:events";
import { type RequestListener, createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, type Server, type Socket, createServer as createTcpServer } from "node:net";
import { type KrakeAuthority, createAuthority } from "../krake/certificates.ts";

/** What is no store, or one that cannot be used: each answers every request in its own way. */
const manners = {
  "fails always": answering(503, "ServiceUnavailable"),
  "says conflict always": answering(409, "OperationAborted"),
  "is in another region": answering(400, "AuthorizationHeaderMalformed"),
  "has another time": answering(403, "RequestTimeTooSkewed"),
  "does not know the key any more": answering(403, "InvalidAccessKeyId"),
  "says that the key has expired": answering(400, "ExpiredToken"),
  "is a web page": (request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "text/html" }).end("<html><h1>It works!</h1></html>");
  },
} as const satisfies Record<string, RequestListener>;

function answering(status: number, code: string): RequestListener {
  return (request, response) => {
    request.resume();
    const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`;
    response.writeHead(status, { "content-type": "application/xml" }).end(body);
  };
}

/** What is no HTTP server: each does something else with a connection. */
const connections = {
  "never answers": () => undefined,
  "closes at once": (socket: Socket) => void socket.destroy(),
  "talks of something else": (socket: Socket) => void socket.end("220 mail.example.com ESMTP\r\n"),
} as const;

export type FakeStore =
  | keyof typeof manners
  | keyof typeof connections
  | "has its own certificate"
  | "has another name's certificate";

export interface FakeStores {
  /** "http://127.0.0.1:PORT" or https. */
  readonly endpoint: (store: FakeStore) => string;
  /** Certificates (PEM) that trust the stores with one, and some that do not. */
  readonly ca: string;
  readonly otherCa: string;
  close(): Promise<void>;
}

export async function openFakeStores(): Promise<FakeStores> {
  const [authority, other] = await Promise.all([createAuthority(), createAuthority()]);
  const elsewhere = await authority.issue("elsewhere.example.com", { version: 2 });
  const servers = new Map<FakeStore, { readonly server: Server; readonly scheme: string }>();
  const sockets = new Set<Socket>();
  const add = async (store: FakeStore, server: Server, scheme = "http"): Promise<void> => {
    server.on("connection", (socket: Socket) => {
      sockets.add(socket.on("error", () => undefined));
      socket.on("close", () => sockets.delete(socket));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.set(store, { server, scheme });
  };
  const secure = (credential: KrakeAuthority["server"]): Server =>
    createTlsServer(credential, manners["fails always"]);
  for (const [store, listener] of Object.entries(manners))
    await add(store as keyof typeof manners, createServer(listener));
  for (const [store, connected] of Object.entries(connections))
    await add(store as keyof typeof connections, createTcpServer(connected));
  await add("has its own certificate", secure(authority.server), "https");
  await add("has another name's certificate", secure(elsewhere), "https");
  return {
    endpoint: (store) => {
      const found = servers.get(store);
      if (found === undefined) throw new Error(`there is no store that ${store}`);
      return `${found.scheme}://127.0.0.1:${(found.server.address() as AddressInfo).port}`;
    },
    ca: authority.root + authority.intermediate,
    otherCa: other.root,
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(
        [...servers.values()].map(async ({ server }) => {
          const closed = once(server, "close");
          server.close();
          await closed;
        }),
      );
    },
  };
}
