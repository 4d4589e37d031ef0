import { readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type BatonClient, createBatonClient } from "@baton/cli/client";
import type { Harbour } from "@baton/example-ledger/demo";

const patienceMs = 60_000;

/** One more orchestrator on the harbour's database. */
export interface Replica {
  readonly client: BatonClient;
  /** Until it stopped itself by SIGSTOP. */
  paused(): Promise<void>;
  resume(): void;
  kill(): Promise<void>;
  /** Until it said this in its log. */
  said(text: string): Promise<void>;
}

export interface ReplicaOptions {
  readonly name: string;
  /** The harbour's own unless given. */
  readonly databaseUrl?: string | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

export async function startReplica(harbour: Harbour, options: ReplicaOptions): Promise<Replica> {
  const state = join(harbour.directory, "orchestrator");
  const logFile = join(harbour.directory, `${options.name}.log`);
  const port = await freePort();
  // A planted fault happens once for each replica.
  await rm(join(state, "fault-happened"), { force: true });
  const { process: child, ended } = await harbour.startProgram({
    command: [
      process.execPath,
      fileURLToPath(import.meta.resolve("@baton/cli/main")),
      "up",
      "--state",
      state,
      "--listen",
      `127.0.0.1:${port}`,
    ],
    environment: {
      BATON_DATABASE_URL: options.databaseUrl ?? (await embeddedUrl(join(state, "postgres"))),
      BATON_LOG_LEVEL: "warn",
      ...options.environment,
    },
    logFile,
    isReady: () => true,
  });
  const token = (await readFile(join(state, "admin-token"), "utf8")).trim();
  return {
    client: createBatonClient({ url: `http://127.0.0.1:${port}`, token }),
    paused: () => paused(child.pid ?? 0),
    resume: () => void child.kill("SIGCONT"),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
    said: (text) =>
      until(`${options.name} says "${text}"`, async () => (await readFile(logFile, "utf8")).includes(text)),
  };
}

/** The harbour's own orchestrator keeps it embedded. */
async function embeddedUrl(directory: string): Promise<string> {
  const [password, port] = await Promise.all(
    ["password", "port"].map((name) => readFile(join(directory, name), "utf8")),
  );
  return `postgresql://baton:${password?.trim()}@127.0.0.1:${port?.trim()}/baton`;
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

/** Until the process stopped itself by SIGSTOP. */
export const paused = (pid: number): Promise<void> =>
  until(`process ${pid} is paused`, async () => {
    // The state follows the name, which is in parentheses and may hold anything.
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")")).startsWith(") T");
  });

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + patienceMs; !(await condition()); await delay(20))
    if (performance.now() > deadline) throw new Error(`not in ${patienceMs} ms: ${what}`);
}
