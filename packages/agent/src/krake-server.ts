import { type Server, createServer } from "node:http";
import { type Log, reasonOf } from "./log.ts";
import { sendHttpProblem, sendJson } from "./problem-response.ts";

/**
 * `PUT /shutdown` without a credential, since Krake sends none: who may reach the port is for a NetworkPolicy to say. The answer comes first and is
 * complete, because Krake's controller stands still until it has it. Everything else never stops anything.
 *
 * @param onShutdown resolves when the order is on record, or cannot be soon
 */
export function createKrakeServer(onShutdown: () => Promise<void>, log: Log): Server {
  const server = createServer(
    {
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      connectionsCheckingInterval: 5_000,
      keepAliveTimeout: 5_000,
      maxHeaderSize: 16_384,
    },
    (request, response) => {
      const path = URL.parse(request.url ?? "", "http://agent")?.pathname;
      if (path !== "/shutdown") {
        const detail = "cannot find this path: there is PUT /shutdown only";
        sendHttpProblem(response, { status: 404, title: "Not Found", detail });
      } else if (request.method !== "PUT") {
        response.setHeader("allow", "PUT");
        const detail = "cannot stop by this method: it is PUT /shutdown";
        sendHttpProblem(response, { status: 405, title: "Method Not Allowed", detail });
      } else if (request.headers.origin !== undefined) {
        // Only browsers send it, and a page that made a name point here passes for one of our own there.
        const detail = "cannot stop for a web page";
        sendHttpProblem(response, { status: 403, title: "Forbidden", detail });
      } else {
        onShutdown()
          .catch((error: unknown) => log("error", "Krake's order failed", { reason: reasonOf(error) }))
          .finally(() => sendJson(response, 200, { accepted: true }));
      }
    },
  );
  server.maxConnections = 500;
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  });
  return server;
}
