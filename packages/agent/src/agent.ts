import type { Server } from "node:http";
import { identify, readBootId } from "@baton/process-tree";
import { type AgentConfig, type AgentEndpoint, AppError, newNonce, publicKeyOf } from "@baton/protocol";
import type { ObjectStore } from "@baton/storage";
import type { AgentContext } from "./agent-context.ts";
import { createCommandGate } from "./command-gate.ts";
import { type ConfirmTimings, createConfirmations } from "./confirm.ts";
import { openEffectLog } from "./effects.ts";
import { changeOperation } from "./facts.ts";
import { createAgentServer } from "./http-server.ts";
import { openJournal } from "./journal.ts";
import { createLeaseHolder } from "./lease-holder.ts";
import { lockStateDirectory } from "./lock.ts";
import type { Log } from "./log.ts";
import { createOperations } from "./operations.ts";
import { createReceipts } from "./receipts.ts";
import { recover } from "./recover.ts";
import { loadOrCreateKey, prepareStateDirectory, writeEndpoint } from "./state-directory.ts";
import { createSupervisor } from "./supervisor.ts";
import { warmUp } from "./warm-up.ts";

export interface Agent {
  readonly endpoint: AgentEndpoint;
  /**
   * Stops the application by the ordinary path, then ends. False when the application is not proven gone: the agent stays, because nobody
   * else would supervise what is left.
   */
  shutDown(): Promise<boolean>;
  /** Ends without a word to the application, as a crash would. */
  close(): Promise<void>;
}

export interface AgentDeps {
  readonly config: AgentConfig;
  /** Opened with the key for the control prefix. */
  readonly store: ObjectStore;
  readonly log: Log;
  readonly confirmTimings?: ConfirmTimings | undefined;
}

/**
 * Starts an agent on its state directory: takes up what an earlier life left, then listens.
 *
 * @throws AppError `in-use` when another agent holds the directory; `agent-failed` when the journal or the key cannot be read
 */
export async function startAgent({ config, store, log, confirmTimings }: AgentDeps): Promise<Agent> {
  const paths = await prepareStateDirectory(config.stateDirectory);
  const lock = await lockStateDirectory(paths.lock);
  try {
    const [key, journal, self, bootId] = await Promise.all([
      loadOrCreateKey(paths.key),
      openJournal(paths.journal),
      identify(process.pid),
      readBootId(),
    ]);
    if (self === null) throw new AppError("agent-failed", "cannot start: /proc does not show this process");

    const receipts = createReceipts({ directory: paths.receipts, config, key });
    const operations = createOperations({ journal, receipts });
    const confirmations = createConfirmations({
      url: config.confirm.url,
      log,
      timings: confirmTimings,
      onSettled: async (settled, confirmation) => {
        await journal.update((facts) => changeOperation(facts, settled, { confirmation }));
      },
    });
    const instance = newNonce();
    const context: AgentContext = {
      config,
      instance,
      self,
      paths,
      journal,
      lease: createLeaseHolder({ config, store, log }),
      receipts,
      confirmations,
      effects: openEffectLog(paths.effects),
      operations,
      log,
    };
    const supervisor = createSupervisor(context, await recover({ journal, self, log }));
    supervisor.resume();

    const gate = createCommandGate({ config, journal });
    const server = createAgentServer({ gate, supervisor, operations, receipts, log });
    const url = await listen(server, config.listen);
    const publicKey = publicKeyOf(key);
    const { pid, startTime } = self;
    const endpoint = { placement: config.placement, instance, url, publicKey, pid, startTime, bootId };
    await writeEndpoint(paths.endpoint, endpoint);
    log("info", "the agent listens", { url });
    void warmUp(key, config.placement, context.lease);

    const close = async (): Promise<void> => {
      await supervisor.close();
      await closeServer(server);
      await lock.release();
    };
    return {
      endpoint,
      close,
      async shutDown() {
        if (!(await supervisor.shutDown())) return false;
        await close();
        return true;
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function listen(server: Server, { host, port }: AgentConfig["listen"]): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(new AppError("agent-failed", `cannot listen on ${host}:${port}`, { cause: error })),
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
