import type { Server } from "node:net";
import { AppError } from "@baton/protocol";

/** @returns the address as it stands in a URL, with the port that it got. @throws AppError `agent-failed` when it is not to be had */
export function listen(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        new AppError("agent-failed", `cannot listen on ${host}:${port}: ${error.code ?? error.message}`, {
          cause: error,
        }),
      ),
    );
    server.listen(port, host, () => {
      const address = server.address();
      const got = typeof address === "object" && address !== null ? address.port : port;
      resolve(`${host.includes(":") ? `[${host}]` : host}:${got}`);
    });
  });
}

/** How long an answer may still be under way: whoever waits for the end of a stop hears of it right before the agent's. */
const answerMs = 300;

/** Ends its connections too, those that wait for an answer a moment later. */
export function closeServer(
  server: Server & { closeAllConnections?: () => void; closeIdleConnections?: () => void },
): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections?.(), answerMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections?.();
  });
}
