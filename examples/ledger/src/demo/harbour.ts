import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BatonClient, createBatonClient } from "@baton/cli/client";
import type { AccessKey, Manifest } from "@baton/protocol";
import { readFile } from "node:fs/promises";
import { type Child, startChild } from "./child.ts";
import { endPlacements } from "./end-placements.ts";

export const bucket = "harbor";
export const prefix = "ledger/";
export const application = "ledger";
export const clusters = ["harbor-a", "harbor-b"] as const;
export type ClusterName = (typeof clusters)[number];

const program = (specifier: string): string => fileURLToPath(import.meta.resolve(specifier));
export const ledgerProgram = fileURLToPath(new URL("../ledger/main.ts", import.meta.url));
const supervision = { restarts: 5 };

/** The whole stage in one temporary directory: a store, an orchestrator, two clusters. */
export interface Harbour {
  readonly directory: string;
  readonly storeDirectory: string;
  readonly endpoint: string;
  readonly client: BatonClient;
  readonly keys: Readonly<Record<ClusterName, AccessKey>>;
  /** How often the orchestrator died by SIGKILL and was started again. */
  kills(): number;
  /** Ends everything that was started, agents and applications first, and removes the directory. Idempotent. */
  close(): Promise<void>;
}

export interface HarbourOptions {
  /** Given to the orchestrator as BATON_FAULT. */
  readonly fault?: string | undefined;
  readonly logLevel?: string | undefined;
}

export async function openHarbour({ fault, logLevel = "warn" }: HarbourOptions = {}): Promise<Harbour> {
  const directory = await mkdtemp(join(tmpdir(), "baton-demo-"));
  // The database's user must be able to enter when all of this runs as root.
  await chmod(directory, 0o711);
  const ends: (() => Promise<void>)[] = [() => rm(directory, { recursive: true, force: true })];
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= endAll(ends));
  try {
    const keys = { control: newKey(), "harbor-a": newKey(), "harbor-b": newKey() };
    const storeDirectory = join(directory, "store");
    const store = await startStore(directory, storeDirectory, keys);
    ends.push(() => store.child.stop());

    const port = await freePort();
    const state = join(directory, "orchestrator");
    const orchestrator = await superviseOrchestrator({ directory, state, port, fault, logLevel });
    ends.push(orchestrator.stop);
    ends.push(() => endPlacements(clusters.map((name) => join(directory, name))));

    const token = (await readFile(join(state, "admin-token"), "utf8")).trim();
    const client = createBatonClient({ url: `http://127.0.0.1:${port}`, token });
    for (const manifest of await writeManifests(directory, store.endpoint, keys))
      await client.apply(manifest);
    return {
      directory,
      storeDirectory,
      endpoint: store.endpoint,
      client,
      keys,
      kills: orchestrator.kills,
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

async function startStore(
  directory: string,
  storeDirectory: string,
  keys: Readonly<Record<string, AccessKey>>,
) {
  await mkdir(storeDirectory);
  const keysFile = join(directory, "store-keys.json");
  const allowed = Object.entries(keys).map(([name, key]) => ({
    ...key,
    allow: [{ bucket, prefix: name === "control" ? ".baton/" : prefix, write: true }],
  }));
  await writeFile(keysFile, JSON.stringify({ buckets: [bucket], keys: allowed }), { mode: 0o600 });
  let endpoint = "";
  const child = await startChild({
    command: [
      process.execPath,
      program("@baton/dev-store/main"),
      "--directory",
      storeDirectory,
      "--keys",
      keysFile,
    ],
    logFile: join(directory, "store.log"),
    isReady: (line) => {
      endpoint = (JSON.parse(line) as { endpoint: string }).endpoint;
      return true;
    },
  });
  return { child, endpoint };
}

interface SupervisionParams {
  readonly directory: string;
  readonly state: string;
  readonly port: number;
  readonly fault: string | undefined;
  readonly logLevel: string;
}

/** Keeps the orchestrator running as a service manager would: killed, it is started again; any other end is final. */
async function superviseOrchestrator({ directory, state, port, fault, logLevel }: SupervisionParams) {
  let stopping = false;
  let kills = 0;
  const start = () =>
    startChild({
      command: [
        process.execPath,
        program("@baton/cli/main"),
        "up",
        "--state",
        state,
        "--listen",
        `127.0.0.1:${port}`,
      ],
      environment: { BATON_LOG_LEVEL: logLevel, ...(fault === undefined ? {} : { BATON_FAULT: fault }) },
      logFile: join(directory, "orchestrator.log"),
      isReady: () => true,
    });
  let child = await start();
  const supervise = async (): Promise<void> => {
    for (let left = supervision.restarts; left > 0; left -= 1) {
      const { signal } = await child.ended;
      if (stopping || signal !== "SIGKILL") return;
      kills += 1;
      child = await start();
    }
  };
  const supervising = supervise();
  return {
    kills: () => kills,
    stop: async () => {
      stopping = true;
      await child.stop();
      await supervising;
    },
  };
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
    ...clusters.map((name): Manifest => ({
      kind: "cluster",
      name,
      driver: "process",
      directory: join(directory, name),
    })),
    {
      kind: "storage",
      name: "harbor",
      endpoint,
      region: "us-east-1",
      bucket,
      prefix,
      // A key a cluster, so that the store's own log tells the writers apart.
      credentials: { control, data: a, dataByCluster: { "harbor-a": a, "harbor-b": b } },
      // This store decides about a write when its last byte has arrived, and drops what a closed connection left unfinished.
      settleMs: 50,
    },
    {
      kind: "application",
      name: application,
      storage: "harbor",
      workload: { command: [process.execPath, ledgerProgram], environment: {} },
      hook: { signal: "SIGTERM", graceMs: 10_000, killAllowed: false, gracefulExitCodes: [0] },
      readiness: { path: "/readyz", timeoutMs: 30_000 },
      verify: { method: "POST", path: "/canary", timeoutMs: 10_000 },
    },
  ];
}
