/** A real store with the lease of one application, and the orchestrator's part: the grant, the start command. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDevStore } from "@baton/dev-store";
import {
  type AgentEndpoint,
  type AgentOperation,
  type AgentStatus,
  type Command,
  type Run,
  accepts,
  agentEndpointSchema,
  agentOperationSchema,
  agentStatusSchema,
  bodySha256,
  createKeyPair,
  newNonce,
  newOperationId,
  newPlacementId,
  parseAs,
  signCommand,
} from "@baton/protocol";
import { type Lease, changeLease, openObjectStore, readLease } from "@baton/storage";
import { until } from "./until.ts";

const accessKey = { accessKeyId: "control", secretAccessKey: "control-secret" };
const [owner, bucket, region, prefix] = ["orchestrator-1", "data", "us-east-1", "ledger/"];
const deadlineMs = 15_000;
const upMs = 30_000;

export interface LeaseBed {
  /** The one that the lease is granted to. */
  readonly placement: string;
  lease(): Promise<Lease | null>;
  /** A directory with agent.json, of the agent's placement or another one. */
  configure(placement?: string): Promise<string>;
  /** Once the agent of this state directory listens: what it says of itself. `after`: of a later life than that. */
  status(stateDirectory: string, after?: AgentEndpoint): Promise<AgentStatus>;
  endpoint(stateDirectory: string, after?: AgentEndpoint): Promise<AgentEndpoint>;
  /** Gives a grant and has it started; the run. @throws when it is not started */
  start(stateDirectory: string): Promise<Run>;
  stop(stateDirectory: string, run: Run): Promise<AgentOperation>;
  /** Writes the lease stopped, as another agent would. */
  writeStopped(run: Run): Promise<void>;
  close(): Promise<void>;
}

export async function openLeaseBed(): Promise<LeaseBed> {
  const directory = await mkdtemp(join(tmpdir(), "baton-lease-"));
  const devStore = await startDevStore({
    directory: join(directory, "store"),
    keys: { buckets: [bucket], keys: [{ ...accessKey, allow: [{ bucket, prefix: "", write: true }] }] },
  });
  const { endpoint } = devStore;
  const store = openObjectStore({ endpoint, region, bucket, accessKey });
  const { publicKey, privateKey } = await createKeyPair();
  const placement = newPlacementId();
  const operation = newOperationId();
  let configured = 0;

  const call = async (at: AgentEndpoint, path: string, epoch: number, command: Command, body?: string) => {
    const token = await signCommand({ key: privateKey, placement: at.placement, epoch, command });
    const response = await fetch(`${at.url}${path}`, {
      method: command.kind === "read" ? "GET" : "POST",
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body }),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  const settled = async (at: AgentEndpoint, key: string): Promise<AgentOperation> => {
    const answer = await call(at, `/v1/operations/${key}?waitMs=${deadlineMs}`, 0, { kind: "read" });
    return parseAs(agentOperationSchema, answer, "the operation", "agent-failed");
  };

  const bed: LeaseBed = {
    placement,
    lease: async () => (await readLease({ store, prefix, timeoutMs: 2_000 }))?.lease ?? null,
    async configure(of = placement) {
      configured += 1;
      const home = join(directory, `config-${configured}`);
      await mkdir(home);
      await writeFile(join(home, "control.json"), JSON.stringify(accessKey), { mode: 0o600 });
      const control = { file: "/config/control.json" };
      const config = {
        version: 1,
        placement: of,
        application: "ledger",
        stateDirectory: "/var/lib/baton",
        listen: { host: "127.0.0.1", port: 0 },
        commandKey: publicKey,
        storage: { endpoint, region, bucket, prefix, owner, control, renewMs: 500 },
      };
      await writeFile(join(home, "agent.json"), JSON.stringify(config));
      return home;
    },
    async endpoint(stateDirectory, after) {
      let found: AgentEndpoint | null = null;
      await until(
        "the agent listens",
        async () => {
          const text = await readFile(join(stateDirectory, "endpoint.json"), "utf8").catch(() => "null");
          const value: unknown = JSON.parse(text);
          if (!accepts(agentEndpointSchema, value) || value.instance === after?.instance) return false;
          found = value;
          return true;
        },
        upMs,
      );
      if (found === null) throw new Error("no endpoint");
      return found;
    },
    async status(stateDirectory, after) {
      const at = await bed.endpoint(stateDirectory, after);
      const answer = await call(at, "/v1/status", 0, { kind: "read" });
      return parseAs(agentStatusSchema, answer, "the status", "agent-failed");
    },
    async start(stateDirectory) {
      const at = await bed.endpoint(stateDirectory);
      const grant = newNonce();
      const change = {
        kind: "create",
        application: "ledger",
        prefix,
        owner,
        holder: at.placement,
        grant,
        operation,
      };
      const { lease } = await changeLease({
        store,
        prefix,
        change: { ...change, kind: "create" },
        deadlineMs,
      });
      const body = JSON.stringify({ environment: {} });
      const key = `${operation}.start.1`;
      const hash = bodySha256(body);
      const command = { kind: "start", key, operation, grant, deadlineMs, bodySha256: hash } as const;
      await call(at, "/v1/start", lease.epoch, command, body);
      const started = await settled(at, key);
      if (started.state !== "started") throw new Error(`not started: ${JSON.stringify(started)}`);
      return started.result.run;
    },
    async stop(stateDirectory, run) {
      const at = await bed.endpoint(stateDirectory);
      const key = `${operation}.stop.1`;
      const { epoch = 0 } = (await bed.lease()) ?? {};
      await call(at, "/v1/stop", epoch, { kind: "stop", key, operation, run, deadlineMs });
      return settled(at, key);
    },
    async writeStopped(run) {
      const { epoch = 0 } = (await bed.lease()) ?? {};
      const change = { kind: "stop", owner, holder: run.placement, epoch, run } as const;
      await changeLease({ store, prefix, change, deadlineMs });
    },
    async close() {
      store.close();
      await devStore.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return bed;
}
