import { chmod, rm } from "node:fs/promises";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { AppError, longestStopMs } from "@baton/protocol";
import type { AgentContext } from "./agent-context.ts";
import { socketPath } from "./local-socket.ts";
import { sendJson, sendProblem } from "./problem-response.ts";
import type { Supervisor } from "./supervisor.ts";

/**
 * For `baton-agent stop` and `status` in the same container, a preStop hook for one: `GET /status`, and `POST /stop?deadlineMs=`, which answers
 * `{ key, outcome, evidenceClass }` at its end; null where nothing lived.
 */
export async function openLocalServer(context: AgentContext, supervisor: Supervisor): Promise<Server> {
  const { config, log } = context;
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => sendProblem(response, error, log));
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = URL.parse(request.url ?? "", "http://agent");
    if (request.method === "GET" && url?.pathname === "/status")
      return sendJson(response, 200, await supervisor.status());
    if (request.method === "POST" && url?.pathname === "/stop") {
      const deadlineMs = Number(url.searchParams.get("deadlineMs") ?? longestStopMs(config.hook) + 10_000);
      if (!(Number.isInteger(deadlineMs) && deadlineMs > 0 && deadlineMs <= 3_600_000))
        throw new AppError(
          "invalid-request",
          `cannot stop: "deadlineMs" must be a whole number from 1 to 3600000`,
        );
      // It goes on when the caller leaves: a preStop hook may be cut off.
      const stopped = await supervisor.stopByItself("local-stop", deadlineMs);
      const { key, ending } = stopped ?? { key: null, ending: null };
      return sendJson(response, 200, {
        key,
        outcome: ending?.outcome ?? null,
        evidenceClass: ending?.evidenceClass ?? null,
        remaining: ending?.evidence.remaining ?? [],
      });
    }
    throw new AppError("not-found", "cannot find this path: the local socket has GET /status and POST /stop");
  };
  const path = socketPath(config.stateDirectory);
  // Left by a life that was killed; the lock says that nobody else listens on it.
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  await chmod(path, 0o600);
  return server;
}
