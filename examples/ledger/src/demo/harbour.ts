import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BatonClient, createBatonClient } from "@baton/cli/client";
import { type ProcessIdentity, identify } from "@baton/process-tree";
import {
  type AccessKey,
  type ApplicationManifest,
  type ClusterManifest,
  type Manifest,
  hookSchema,
  parseAs,
} from "@baton/protocol";
import { readFile } from "node:fs/promises";
import { type Child, type StartParams, startChild } from "./child.ts";
import { endPlacements } from "./end-placements.ts";
import { keepRunning } from "./keep-running.ts";
import { type RestartOptions, readDatabase, superviseOrchestrator } from "./supervise-orchestrator.ts";

export const bucket = "harbor";
export const prefix = "ledger/";
export const application = "ledger";
/** This store decides about a write when its last byte has arrived, and drops what a closed connection left unfinished. */
export const settleMs = 50;
export const clusters = ["harbor-a", "harbor-b"] as const;
export type ClusterName = (typeof clusters)[number];

const program = (specifier: string): string => fileURLToPath(import.meta.resolve(specifier));
export const ledgerProgram = fileURLToPath(new URL("../ledger/main.ts", import.meta.url));

/** What is there again when it dies. No agents: they come back when an operation needs them. */
export type KeptPart = "orchestrator" | "postgres" | "store";

/** The whole stage in one temporary directory: a store, an orchestrator, two clusters. */
export interface Harbour {
  readonly directory: string;
  readonly storeDirectory: string;
  readonly endpoint: string;
  readonly client: BatonClient;
  readonly keys: Readonly<Record<ClusterName, AccessKey>>;
  /** How often the orchestrator died by SIGKILL and was started again. */
  kills(): number;
  orchestratorPid(): number;
  /** Null where none lives just now. */
  processOf(part: KeptPart): Promise<ProcessIdentity | null>;
  /** Stops the orchestrator in order and starts it again, with this planted fault or none; agents and applications stay. */
  restartOrchestrator(options: RestartOptions): Promise<void>;
  /** Starts a program that ends with the harbour at the latest. @throws once the harbour is closing. */
  startProgram(params: StartParams): Promise<Child>;
  /** Ends everything that was started and removes the directory. Idempotent. */
  close(): Promise<void>;
}

export interface HarbourOptions {
  /** Given to the orchestrator as BATON_FAULT. */
  readonly fault?: string | undefined;
  readonly logLevel?: string | undefined;
  /** Also for the orchestrator. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** How long the orchestrator or the store stays away when it died, in ms; at once unless said. */
  readonly pauseMs?: (() => number) | undefined;
  /** What the ledger's manifest says otherwise. */
  readonly changes?: Partial<ApplicationManifest> | undefined;
  /** Instead of two clusters of local processes; whoever made them ends what is left on them. */
  readonly elsewhere?:
    | {
        readonly clusters: readonly ClusterManifest[];
        /** Where the store listens, for those clusters to reach it. */
        readonly storeHost: string;
        /** Before the store ends. */
        readonly end: () => Promise<void>;
      }
    | undefined;
}

export async function openHarbour(options: HarbourOptions = {}): Promise<Harbour> {
  const { fault, logLevel = "warn", environment, changes = {}, elsewhere, pauseMs } = options;
  const directory = await mkdtemp(join(tmpdir(), "baton-demo-"));
  // The database's user must be able to enter when all of this runs as root.
  await chmod(directory, 0o711);
  const ends: (() => Promise<void>)[] = [() => rm(directory, { recursive: true, force: true })];
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= endAll(ends));
  try {
    const keys = { control: newKey(), "harbor-a": newKey(), "harbor-b": newKey() };
    const storeDirectory = join(directory, "store");
    const host = elsewhere?.storeHost ?? "127.0.0.1";
    const store = await startStore({ directory, storeDirectory, keys, host, pauseMs });
    ends.push(() => store.kept.stop());

    // After the orchestrator, which starts an agent again that it finds dead; before the store, where the applications put their last entries.
    ends.push(elsewhere?.end ?? (() => endPlacements(clusters.map((name) => join(directory, name)))));

    const port = await freePort();
    const state = join(directory, "orchestrator");
    const orchestrator = await superviseOrchestrator({
      directory,
      state,
      port,
      fault,
      logLevel,
      environment,
      pauseMs,
    });
    ends.push(() => orchestrator.stop());

    const token = (await readFile(join(state, "admin-token"), "utf8")).trim();
    const client = createBatonClient({ url: `http://127.0.0.1:${port}`, token });
    const places = elsewhere?.clusters ?? clusters.map((name) => localCluster(directory, name));
    for (const manifest of [...places, ...(await writeManifests(directory, store.endpoint, keys))])
      await client.apply(manifest.kind === "application" ? { ...manifest, ...changes } : manifest);
    return {
      directory,
      storeDirectory,
      endpoint: store.endpoint,
      client,
      keys,
      kills: () => orchestrator.kills(),
      orchestratorPid: () => orchestrator.pid(),
      processOf: async (part) =>
        part === "postgres"
          ? readDatabase(state)
          : identify((part === "store" ? store.kept : orchestrator).pid()),
      restartOrchestrator: (options) => orchestrator.restart(options),
      async startProgram(params) {
        if (closed !== undefined) throw new Error("cannot start a program: the harbour is closing");
        const starting = startChild(params);
        ends.push(async () => (await starting.catch(() => null))?.stop());
        return starting;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function endAll(ends: (() => Promise<void>)[]): Promise<void> {
  const errors: unknown[] = [];
  // What fails to end does not keep the rest from ending.
  for (const end of ends.splice(0).toReversed()) await end().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw new AggregateError(errors, "cannot end everything that the demo started");
}

const newKey = (): AccessKey => ({
  accessKeyId: `AK${randomBytes(9).toString("hex").toUpperCase()}`,
  secretAccessKey: randomBytes(30).toString("base64url"),
});

const localCluster = (directory: string, name: ClusterName): ClusterManifest => ({
  kind: "cluster",
  name,
  driver: "process",
  directory: join(directory, name),
});

async function startStore(params: {
  readonly directory: string;
  readonly storeDirectory: string;
  readonly keys: Readonly<Record<string, AccessKey>>;
  readonly host: string;
  readonly pauseMs: HarbourOptions["pauseMs"];
}) {
  const { directory, storeDirectory, keys, host, pauseMs } = params;
  await mkdir(storeDirectory);
  const keysFile = join(directory, "store-keys.json");
  const allowed = Object.entries(keys).map(([name, key]) => ({
    ...key,
    allow: [{ bucket, prefix: name === "control" ? ".baton/" : prefix, write: true }],
  }));
  await writeFile(keysFile, JSON.stringify({ buckets: [bucket], keys: allowed }), { mode: 0o600 });
  let endpoint = "";
  const start = (): Promise<Child> =>
    startChild({
      command: [
        process.execPath,
        program("@baton/dev-store/main"),
        "--directory",
        storeDirectory,
        "--keys",
        keysFile,
        "--host",
        host,
        // Where its clients look for it, once it is known.
        ...(endpoint === "" ? [] : ["--port", new URL(endpoint).port]),
      ],
      logFile: join(directory, "store.log"),
      isReady: (line) => {
        endpoint = (JSON.parse(line) as { endpoint: string }).endpoint;
        return true;
      },
    });
  const kept = await keepRunning({ start, pauseMs });
  return { kept, endpoint };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("cannot find a free port");
  return address.port;
}

/** The same documents that a person would write in YAML and give to `baton apply`. */
async function writeManifests(
  directory: string,
  endpoint: string,
  keys: Readonly<Record<string, AccessKey>>,
): Promise<readonly Manifest[]> {
  const secret = async (name: string) => {
    const file = join(directory, `${name}.key.json`);
    await writeFile(file, JSON.stringify(keys[name]), { mode: 0o600 });
    return { file };
  };
  const [control, a, b] = await Promise.all(["control", ...clusters].map(secret));
  if (control === undefined || a === undefined || b === undefined) throw new Error("cannot write the keys");
  return [
    {
      kind: "storage",
      name: "harbor",
      endpoint,
      region: "us-east-1",
      bucket,
      prefix,
      // A key a cluster, so that the store's own log tells the writers apart.
      credentials: { control, data: a, dataByCluster: { "harbor-a": a, "harbor-b": b } },
      settleMs,
    },
    {
      kind: "application",
      name: application,
      storage: "harbor",
      workload: { command: [process.execPath, ledgerProgram], environment: {} },
      hook: parseAs(hookSchema, { graceMs: 10_000 }, "the hook"),
      readiness: { path: "/readyz", timeoutMs: 30_000 },
      verify: { method: "POST", path: "/canary", timeoutMs: 10_000 },
    },
  ];
}
