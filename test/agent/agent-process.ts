/** The real agent as a process of its own, on a real S3 endpoint, with the orchestrator's part played by the test. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startDevStore } from "@baton/dev-store";
import { scanTree } from "@baton/process-tree";
import {
  type AgentEndpoint,
  type AgentOperation,
  type AgentStatus,
  type Command,
  type Receipt,
  type Run,
  agentEndpointSchema,
  agentOperationSchema,
  agentStatusSchema,
  bodySha256,
  cookieVariable,
  createKeyPair,
  newNonce,
  newOperationId,
  newPlacementId,
  parseAs,
  signCommand,
  verifyReceipt,
} from "@baton/protocol";
import { changeLease, openObjectStore, readLease } from "@baton/storage";

const agentMain = fileURLToPath(new URL("../../packages/agent/src/main.ts", import.meta.url));
const application = fileURLToPath(new URL("fixtures/application.ts", import.meta.url));
const prefix = "ledger/";
const owner = "orchestrator-1";
const accessKey = { accessKeyId: "control", secretAccessKey: "control-secret" };

export async function createAgentBed(
  environment: Readonly<Record<string, string>> = {},
  parts: {
    readonly hook?: Readonly<Record<string, unknown>>;
    readonly storage?: Readonly<Record<string, unknown>>;
    /** Another application than the small one of the tests. */
    readonly command?: readonly string[];
    readonly readiness?: string;
  } = {},
) {
  const directory = await mkdtemp(join(tmpdir(), "baton-agent-process-"));
  const allow = [{ bucket: "data", prefix: "", write: true }];
  const openStore = (port = 0): ReturnType<typeof startDevStore> =>
    startDevStore({
      directory: join(directory, "store"),
      keys: { buckets: ["data"], keys: [{ ...accessKey, allow }] },
      port,
    });
  let devStore = await openStore();
  const store = openObjectStore({
    endpoint: devStore.endpoint,
    region: "us-east-1",
    bucket: "data",
    accessKey,
  });
  const confirmations: string[] = [];
  const receiver = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      confirmations.push(body);
      response.writeHead(204).end();
    });
  });
  await listen(receiver);
  const orchestrator = await createKeyPair();
  const placement = newPlacementId();
  const operation = newOperationId();
  const stateDirectory = join(directory, "state");
  const config = {
    version: 1,
    placement,
    application: "ledger",
    stateDirectory,
    listen: { host: "127.0.0.1", port: 0 },
    applicationPort: await freePort(),
    commandKey: orchestrator.publicKey,
    confirm: { url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/` },
    storage: {
      endpoint: devStore.endpoint,
      region: "us-east-1",
      bucket: "data",
      prefix,
      owner,
      control: { file: join(directory, "control.json") },
      renewMs: 500,
      ...parts.storage,
    },
    workload: { command: parts.command ?? [process.execPath, application], environment },
    hook: { signal: "SIGTERM", graceMs: 5_000, killAllowed: false, gracefulExitCodes: [0], ...parts.hook },
    readiness: { path: parts.readiness ?? "/", timeoutMs: 10_000 },
  };
  await writeFile(config.storage.control.file, JSON.stringify(accessKey), { mode: 0o600 });
  await writeFile(join(directory, "agent.json"), JSON.stringify(config));

  let child: ChildProcess | null = null;
  let endpoint: AgentEndpoint | null = null;
  let logs = "";
  const url = (path: string): string => `${endpoint?.url ?? ""}${path}`;
  const sign = (command: Command, epoch: number): Promise<string> =>
    signCommand({ key: orchestrator.privateKey, placement, epoch, command });
  const post = async (path: string, token: string, body?: string): Promise<Response> =>
    fetch(url(path), {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body }),
    });
  const get = async (path: string): Promise<unknown> =>
    (
      await fetch(url(path), { headers: { authorization: `Bearer ${await sign({ kind: "read" }, 0)}` } })
    ).json();

  const bed = {
    directory,
    stateDirectory,
    config,
    operation,
    confirmations,
    store,
    post,
    sign,
    logs: () => logs,
    /** Starts the agent and waits until it listens. */
    async begin(): Promise<ChildProcess> {
      const started = spawn(process.execPath, [agentMain, "run", "--config", join(directory, "agent.json")], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      child = started;
      started.stderr.on("data", (chunk: Buffer) => (logs += chunk.toString()));
      await until("the endpoint", async () => {
        if (started.exitCode !== null) throw new Error(`the agent ended: ${logs}`);
        const content = await readFile(join(stateDirectory, "endpoint.json"), "utf8").catch(() => "null");
        const found: unknown = JSON.parse(content);
        if (found === null) return false;
        endpoint = parseAs(agentEndpointSchema, found, "the endpoint");
        return endpoint.pid === started.pid;
      });
      return started;
    },
    /** Sends the agent a signal and waits for its end; gives its exit status. */
    async signal(signal: NodeJS.Signals): Promise<number | null> {
      if (child === null || child.exitCode !== null) throw new Error("no agent runs");
      const exited = once(child, "exit");
      child.kill(signal);
      await exited;
      return child.exitCode;
    },
    async grant(from?: { run: Run | null; epoch: number }): Promise<{ grant: string; epoch: number }> {
      const grant = newNonce();
      const given = { owner, holder: placement, grant, operation };
      const change =
        from === undefined
          ? ({ kind: "create", application: "ledger", prefix, ...given } as const)
          : ({ kind: "grant", from: { ...from, holder: placement }, ...given } as const);
      const { lease } = await changeLease({ store, prefix, change, deadlineMs: 2_000 });
      return { grant, epoch: lease.epoch };
    },
    lease: async () => (await readLease({ store, prefix, timeoutMs: 2_000 }))?.lease ?? null,
    status: async (): Promise<AgentStatus> =>
      parseAs(agentStatusSchema, await get("/v1/status"), "the status"),
    settled: async (key: string): Promise<AgentOperation> =>
      parseAs(agentOperationSchema, await get(`/v1/operations/${key}?waitMs=15000`), "the operation"),
    async receipt(key: string): Promise<Receipt> {
      const settled = await bed.settled(key);
      if (settled.state !== "receipt" || endpoint === null)
        throw new Error(`no receipt: ${JSON.stringify(settled)}`);
      return verifyReceipt(settled.receipt, endpoint.publicKey);
    },
    async askStart(given: { grant: string; epoch: number }, key: string): Promise<Response> {
      const body = JSON.stringify({ environment: {} });
      const command = {
        kind: "start",
        key,
        operation,
        grant: given.grant,
        deadlineMs: 15_000,
        bodySha256: bodySha256(body),
      } as const;
      return post("/v1/start", await sign(command, given.epoch), body);
    },
    async start(given: { grant: string; epoch: number }, key: string): Promise<AgentOperation> {
      await bed.askStart(given, key);
      return bed.settled(key);
    },
    /** The agent and its application, up. */
    async run(): Promise<{ run: Run; epoch: number }> {
      await bed.begin();
      const given = await bed.grant();
      const settled = await bed.start(given, `${operation}.start.1`);
      if (settled.state !== "started") throw new Error(`not started: ${JSON.stringify(settled)}`);
      return { run: settled.result.run, epoch: given.epoch };
    },
    stop: async (params: {
      run: Run;
      epoch: number;
      key: string;
      deadlineMs?: number;
    }): Promise<Response> => {
      const { run, epoch, key, deadlineMs = 10_000 } = params;
      return post("/v1/stop", await sign({ kind: "stop", key, operation, run, deadlineMs }, epoch));
    },
    /** By `baton-agent stop --wait`, as a preStop hook does. */
    async stopLocally(): Promise<{ readonly code: number; readonly stdout: string }> {
      const args = [agentMain, "stop", "--wait", "--state-directory", stateDirectory];
      return promisify(execFile)(process.execPath, args, { timeout: 60_000 }).then(
        ({ stdout }) => ({ code: 0, stdout }),
        ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
      );
    },
    /** Nobody listens where confirmations are sent until the function that it gives is called. */
    async takeOrchestratorAway(): Promise<() => Promise<void>> {
      const { port } = receiver.address() as AddressInfo;
      receiver.closeAllConnections();
      receiver.close();
      await once(receiver, "close");
      return async () => {
        receiver.listen(port, "127.0.0.1");
        await once(receiver, "listening");
      };
    },
    /**
     * Nobody listens where the store was, or what listens there answers everything with 503, or never. The function that it gives brings the store
     * back as it was.
     */
    async takeStoreAway(instead: "nobody" | "503" | "silence"): Promise<() => Promise<void>> {
      const port = Number(new URL(devStore.endpoint).port);
      await devStore.close();
      const impostor = createServer((_request, response) => {
        if (instead === "503") response.writeHead(503).end();
      });
      if (instead !== "nobody") {
        impostor.listen(port, "127.0.0.1");
        await once(impostor, "listening");
      }
      return async () => {
        if (impostor.listening) {
          impostor.closeAllConnections();
          impostor.close();
          await once(impostor, "close");
        }
        devStore = await openStore(port);
      };
    },
    async processes() {
      const journal = JSON.parse(await readFile(join(stateDirectory, "journal"), "utf8")) as {
        run: { cookie: string } | null;
      };
      if (journal.run === null) return [];
      const cookie = { name: cookieVariable, value: journal.run.cookie };
      return (await scanTree({ cookie, roots: [], exclude: [process.pid] })).members;
    },
    async effects(): Promise<{ readonly effect: string; readonly at: string }[]> {
      const lines = await readFile(join(stateDirectory, "effects.jsonl"), "utf8").catch(() => "");
      return lines
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { effect: string; at: string });
    },
    async end(): Promise<void> {
      if (child !== null && child.exitCode === null && child.signalCode === null) await bed.signal("SIGKILL");
      for (const { pid } of await bed.processes().catch(() => [])) process.kill(pid, "SIGKILL");
      receiver.closeAllConnections();
      receiver.close();
      if ("close" in store && typeof store.close === "function") store.close();
      await devStore.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return bed;
}

export type AgentBed = Awaited<ReturnType<typeof createAgentBed>>;

/** Asks again until it holds. */
export async function until(what: string, holds: () => Promise<boolean>, limitMs = 60_000): Promise<void> {
  for (const endAt = performance.now() + limitMs; ;) {
    if (await holds()) return;
    if (performance.now() > endAt) throw new Error(`did not happen in ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await listen(server);
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
