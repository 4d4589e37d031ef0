import { existsSync, readlinkSync } from "node:fs";
import { identify, readBootId } from "@baton/process-tree";
import { type AgentConfig, type AgentEndpoint, AppError, newNonce, publicKeyOf } from "@baton/protocol";
import type { ObjectStore } from "@baton/storage";
import type { AgentContext } from "./agent-context.ts";
import type { Api } from "./api.ts";
import type { Exit } from "./application.ts";
import { type ConfirmTimings, createConfirmations, noConfirmations } from "./confirm.ts";
import { openEffectLog } from "./effects.ts";
import { changeOperation } from "./facts.ts";
import type { Executor } from "./executor.port.ts";
import { createFinisher } from "./finish-operation.ts";
import { openJournal } from "./journal.ts";
import { createLeaseHolder, withoutLease } from "./lease-holder.ts";
import { lockStateDirectory } from "./lock.ts";
import { isForKrake } from "./krake-ending.ts";
import type { KrakeCredentials } from "./krake-credentials.ts";
import type { Log } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { createOperations } from "./operations.ts";
import { createReceipts } from "./receipts.ts";
import { recover } from "./recover.ts";
import { createRunExecutor } from "./run-executor.ts";
import { createKeyServer } from "./served-key.ts";
import { prepareStateDirectory, stateKey, writeEndpoint } from "./state-directory.ts";
import { createSupervisor } from "./supervisor.ts";
import { readTlsFiles } from "./tls-files.ts";

/** Of the end that the platform gives us: a confirmation that is under way to a Krake may still arrive. */
const settleMs = 1_500;

export interface Agent {
  readonly endpoint: AgentEndpoint;
  /**
   * Stops the application by the ordinary path, then ends. False when the application is not proven gone: the agent stays, because nobody
   * else would supervise what is left.
   */
  shutDown(): Promise<boolean>;
  /** A Krake ordered the stop: whatever ends, the container has to stay until its platform ends it. */
  readonly staysForKrake: boolean;
  /** How the application ended last; null when it lives, or never did. */
  readonly lastExit: { readonly exit: Exit | null } | null;
  /** Passes a signal that is the application's business to its main process. */
  forward(signal: NodeJS.Signals): void;
  /** Ends without a word to the application, as a crash would. */
  close(): Promise<void>;
}

export interface AgentDeps {
  readonly config: AgentConfig;
  /** Opened with the key for the control prefix; null where no storage is configured. */
  readonly store: ObjectStore | null;
  readonly log: Log;
  /** The agent's own environment: what of it the application gets is said by the configuration. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly confirmTimings?: ConfirmTimings | undefined;
  /** What a Krake injected; needed where the configuration names one. */
  readonly krake?: KrakeCredentials | null | undefined;
  /** The application ended by itself, and its receipt is written. */
  readonly onOwnEnd?: (() => void) | undefined;
  /** What a stop had left is gone at last: an end that was refused for it can be tried again. */
  readonly onRestGone?: (() => void) | undefined;
}

function readPidNamespace(): string | null {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return null;
  }
}

/** Who executes the application: the agent, or somebody whose code is loaded only then. */
async function createExecutor(params: {
  readonly config: AgentConfig;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logPath: string;
  readonly bootId: string;
}): Promise<Executor> {
  const { config, environment: inherited, logPath, bootId } = params;
  const { attach } = config;
  if (attach === null) return createRunExecutor({ config, inherited, logPath, bootId });
  const { createAttachExecutor } = await import("./attach/attach-executor.ts");
  return createAttachExecutor({ config, attach, inherited, bootId });
}

/**
 * Starts an agent on its state directory: takes up what an earlier life left, starts the application if it is to start by itself, and only then
 * loads what listens and signs.
 *
 * @throws AppError `in-use` when another agent holds the directory; `agent-failed` when the journal or the key cannot be read
 */
export async function startAgent(deps: AgentDeps): Promise<Agent> {
  const {
    config,
    store,
    log,
    environment = {},
    confirmTimings,
    onOwnEnd = () => {},
    onRestGone = () => {},
  } = deps;
  const tls = config.tls === null ? null : readTlsFiles(config.tls);
  const metrics = createMetrics();
  const paths = await prepareStateDirectory(config.stateDirectory);
  const lock = await lockStateDirectory(paths.lock);
  try {
    const [journal, self, bootId] = await Promise.all([
      openJournal(paths.journal),
      identify(process.pid),
      readBootId(),
    ]);
    if (self === null) throw new AppError("agent-failed", "cannot start: /proc does not show this process");

    const key = stateKey(paths.key);
    const receipts = createReceipts({ directory: paths.receipts, config, key });
    const operations = createOperations({ journal, receipts });
    const confirmations =
      config.confirm === null
        ? noConfirmations
        : createConfirmations({
            url: config.confirm.url,
            log,
            timings: confirmTimings,
            onSettled: async (settled, confirmation) => {
              await journal.update((facts) => changeOperation(facts, settled, { confirmation }));
            },
          });
    const executor = await createExecutor({ config, environment, logPath: paths.applicationLog, bootId });
    const instance = newNonce();
    const pidNamespace = readPidNamespace();
    const { placement, storage } = config;
    const context: AgentContext = {
      config,
      instance,
      self,
      pidNamespace,
      paths,
      journal,
      lease:
        storage === null || store === null
          ? withoutLease
          : createLeaseHolder({
              placement,
              storage,
              store,
              log,
              onRenewal: (result) => metrics.renewed(result),
            }),
      receipts,
      confirmations,
      effects: openEffectLog(paths.effects),
      operations,
      executor,
      keyServer: createKeyServer(log),
      log,
      patience: { endsAt: Number.POSITIVE_INFINITY },
    };
    const hasLease = storage !== null;
    const recovered = await recover({
      journal,
      executor,
      self,
      pidNamespace,
      slot: config.slot,
      hasLease,
      log,
    });
    const finisher = metrics.countStops(createFinisher(context, store));
    const supervisor = createSupervisor({ context, recovered, finisher, onOwnEnd, onRestGone });
    // A stop that cannot be signed cannot be proven: a broken key is found before anything is executed. A new one is made afterwards.
    if (existsSync(paths.key)) await key();
    supervisor.resume();
    await supervisor.startByItself();

    const { openApi } = await import("./api.ts");
    const krake = deps.krake ?? null;
    let api: Api;
    try {
      // What is asked in the bucket of a run that another agent may care for is for that one to answer.
      const asked = recovered.isElsewhere ? null : store;
      api = await openApi({ context, supervisor, metrics, key: await key(), tls, krake, store: asked });
    } catch (error) {
      // What was started a moment ago would be nobody's; what an earlier life left waits for the next.
      if (recovered.application === null) await supervisor.shutDown();
      await supervisor.close();
      throw error;
    }
    const publicKey = publicKeyOf(await key());
    const { pid, startTime } = self;
    const endpoint = { placement, instance, url: api.url, publicKey, pid, startTime, bootId };
    await writeEndpoint(paths.endpoint, endpoint);
    log("info", "the agent listens", { url: api.url });

    const close = async (): Promise<void> => {
      await supervisor.close();
      await api.close();
      await lock.release();
    };
    return {
      endpoint,
      close,
      forward: (signal) => supervisor.forward(signal),
      get staysForKrake() {
        return isForKrake(journal.facts);
      },
      get lastExit() {
        return supervisor.lastExit;
      },
      async shutDown() {
        if (!(await supervisor.shutDown())) return false;
        await api.settle(settleMs);
        await close();
        return true;
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}
