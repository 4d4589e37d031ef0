import { createServer } from "node:http";
import type { PrivateKey } from "@baton/protocol";
import type { ObjectStore } from "@baton/storage";
import type { AgentContext } from "./agent-context.ts";
import { openChannel } from "./channel.ts";
import { createCommandGate } from "./command-gate.ts";
import { createAgentServer } from "./http-server.ts";
import type { KrakeCredentials } from "./krake-credentials.ts";
import type { KrakeMode } from "./krake-mode.ts";
import { closeServer, listen } from "./listen.ts";
import { openLocalServer } from "./local-server.ts";
import { createMetricsText } from "./metrics-endpoint.ts";
import type { Metrics } from "./metrics.ts";
import type { Supervisor } from "./supervisor.ts";
import type { TlsFiles } from "./tls-files.ts";
import { warmUp } from "./warm-up.ts";

/** After the start, whose first probes shall not wait. */
const quietMs = 200;

/** Everything that listens. */
export interface Api {
  /** Of the network API; of the local socket when there is none. */
  readonly url: string;
  /** Waits for a confirmation that is under way to a Krake, at most so long. */
  settle(limitMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Loaded after the application was executed: HTTP and signatures take longer to load than a start may wait. */
export async function openApi(params: {
  readonly context: AgentContext;
  readonly supervisor: Supervisor;
  readonly metrics: Metrics;
  readonly key: PrivateKey;
  /** Null: plain HTTP. */
  readonly tls: TlsFiles | null;
  /** Null where no Krake is configured. */
  readonly krake: KrakeCredentials | null;
  /** Where commands are looked for as well; null for nowhere. */
  readonly store: ObjectStore | null;
}): Promise<Api> {
  const { context, supervisor, metrics, key, tls, krake, store } = params;
  const { config, journal, operations, receipts, log } = context;
  const gate = createCommandGate({ config, journal });
  const metricsText = createMetricsText(context, metrics, () => supervisor.snapshot());
  const onRefused = (code: string): void => metrics.refused(code);
  const { createTlsServer } = tls === null ? {} : await import("./tls-server.ts");
  const server = createAgentServer({
    gate,
    supervisor,
    operations,
    receipts,
    log,
    metricsText,
    onRefused,
    makeServer: (options, onRequest) =>
      tls === null || createTlsServer === undefined
        ? createServer(options, onRequest)
        : createTlsServer(options, tls, onRequest),
  });
  const local = await openLocalServer(context, supervisor);
  const scheme = tls === null ? "http" : "https";
  const url =
    config.listen === null ? "http://localhost" : `${scheme}://${await listen(server, config.listen)}`;
  const krakeMode = krake === null ? null : await openKrake(context, supervisor, krake);
  const { storage } = config;
  const channel =
    store === null || storage === null || config.commandKey === null
      ? null
      : openChannel({ context, storage, store, gate, supervisor, onRefused });
  const warmingUp = setTimeout(() => void warmUp(key, config.placement, context.lease), quietMs).unref();
  return {
    url,
    settle: async (limitMs) => krakeMode?.settle(limitMs),
    async close() {
      clearTimeout(warmingUp);
      await Promise.all([closeServer(server), closeServer(local), krakeMode?.shutDown(), channel?.close()]);
    },
  };
}

/** Loaded only where a Krake is configured. */
async function openKrake(
  context: AgentContext,
  supervisor: Supervisor,
  credentials: KrakeCredentials,
): Promise<(KrakeMode & { shutDown(): Promise<void> }) | null> {
  const { config, log } = context;
  const { krake } = config;
  if (krake === null) return null;
  const [{ createKrakeMode }, { createKrakeServer }] = await Promise.all([
    import("./krake-mode.ts"),
    import("./krake-server.ts"),
  ]);
  const mode = createKrakeMode({ context, supervisor, krake, credentials });
  const server = createKrakeServer(() => mode.order(), log);
  mode.resume();
  log("info", "a Krake's PUT /shutdown is listened for", {
    url: `http://${await listen(server, krake.listen)}`,
  });
  return {
    ...mode,
    async shutDown() {
      mode.close();
      await closeServer(server);
    },
  };
}
