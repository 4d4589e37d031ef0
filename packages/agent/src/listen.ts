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

/** Ends its connections too: an answer that is under way is cut off. */
export function closeServer(server: Server & { closeAllConnections?: () => void }): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections?.();
  });
}
