import type { RequestListener, Server, ServerOptions } from "node:http";
import { createServer } from "node:https";
import type { TlsFiles } from "./tls-files.ts";

const handshakeMs = 5_000;

/** Imported only where TLS is configured: it costs 17 ms and some 5 MB. With `clientCa` a client without a certificate of it gets no answer. */
export function createTlsServer(options: ServerOptions, tls: TlsFiles, onRequest: RequestListener): Server {
  const { cert, key, clientCa } = tls;
  const server = createServer(
    {
      ...options,
      cert,
      key,
      handshakeTimeout: handshakeMs,
      ...(clientCa !== null && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    },
    onRequest,
  );
  // Without a listener the failure would count as a bad request, and be answered.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return server;
}
