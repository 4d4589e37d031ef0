import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { OrchestratorConfig } from "./config.ts";
import { type TestBed, createTestBed, query } from "./postgres/test-bed.fixture.ts";

const fixture = join(import.meta.dirname, "fixtures", "orchestrator.fixture.ts");
const startMs = 30_000;

let bed: TestBed;
let url: string;
beforeAll(async () => {
  bed = await createTestBed();
  ({ url } = await bed.start());
});
afterAll(() => bed.end());

async function emptyDatabase(name: string): Promise<string> {
  await query(url, `create database ${name}`);
  return Object.assign(new URL(url), { pathname: `/${name}` }).href;
}

const isGone = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;

/** An orchestrator in a process of its own. @returns its address. @throws when it ends instead. */
async function startReplica(change: Partial<OrchestratorConfig>): Promise<string> {
  const config: OrchestratorConfig = {
    stateDirectory: join(bed.directory, "state"),
    listen: { host: "127.0.0.1", port: 0 },
    agentCommand: [process.execPath],
    logLevel: "warn",
    ...change,
  };
  const child = spawn(process.execPath, [fixture], {
    env: { ...process.env, CONFIG: JSON.stringify(config) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(async () => {
    if (isGone(child)) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const ended = once(child, "exit").then(() => Promise.reject(new Error(`the replica ended: ${said}`)));
  const [line] = (await Promise.race([
    once(createInterface(child.stdout), "line", { signal: AbortSignal.timeout(startMs) }),
    ended,
  ])) as [string];
  ended.catch(() => undefined);
  return line;
}

describe("replicas on one database", () => {
  it.each([1, 2, 3])("come up together on an empty one, time %i", { timeout: 60_000 }, async (time) => {
    const databaseUrl = await emptyDatabase(`together_${time}`);
    const replicas = await Promise.all([1, 2].map(() => startReplica({ databaseUrl })));
    expect(new Set(replicas).size).toBe(2);
    const [found] = await query(databaseUrl, "select count(*)::int as installations from baton.installation");
    expect(found).toEqual({ installations: 1 });
  });

  it("on machines of their own are given the secrets of the first", { timeout: 60_000 }, async () => {
    const databaseUrl = await emptyDatabase("elsewhere");
    const first = join(bed.directory, "first");
    await startReplica({ databaseUrl, stateDirectory: first });
    const elsewhere = { databaseUrl, stateDirectory: join(bed.directory, "second") };
    await expect(startReplica(elsewhere)).rejects.toThrow("another signing key");
    const adminTokenFile = join(first, "admin-token");
    const commandKeyFile = join(first, "command-key.json");
    const second = await startReplica({ ...elsewhere, adminTokenFile, commandKeyFile });
    const authorization = `Bearer ${(await readFile(adminTokenFile, "utf8")).trim()}`;
    const answer = await request(`${second}/v1/clusters`, { headers: { authorization } });
    expect(answer.statusCode).toBe(200);
    await answer.body.dump();
  });
});
