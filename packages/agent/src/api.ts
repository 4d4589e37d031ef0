import { type Server } from "node:http";
import { AppError, type PrivateKey } from "@baton/protocol";
import type { AgentContext } from "./agent-context.ts";
import { createCommandGate } from "./command-gate.ts";
import { createAgentServer } from "./http-server.ts";
import { openLocalServer } from "./local-server.ts";
import type { Supervisor } from "./supervisor.ts";
import { warmUp } from "./warm-up.ts";

/** Everything that listens. */
export interface Api {
  /** Of the network API; of the local socket when there is none. */
  readonly url: string;
  close(): Promise<void>;
}

/** Loaded after the application was executed: HTTP and signatures take longer to load than a start may wait. */
export async function openApi(params: {
  readonly context: AgentContext;
  readonly supervisor: Supervisor;
  readonly key: PrivateKey;
}): Promise<Api> {
  const { context, supervisor, key } = params;
  const { config, journal, operations, receipts, log } = context;
  const gate = createCommandGate({ config, journal });
  const server = createAgentServer({ gate, supervisor, operations, receipts, log });
  const local = await openLocalServer(context, supervisor);
  const url = config.listen === null ? "http://localhost" : await listen(server, config.listen);
  void warmUp(key, config.placement, context.lease);
  return { url, close: async () => void (await Promise.all([closeServer(server), closeServer(local)])) };
}

function listen(
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
      resolve(`http://${host.includes(":") ? `[${host}]` : host}:${got}`);
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
