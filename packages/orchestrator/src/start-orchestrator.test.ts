import { access, chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { OrchestratorConfig } from "./config.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./postgres/embedded-postgres.ts";
import { startOrchestrator } from "./start-orchestrator.ts";

let directory: string;
let server: EmbeddedPostgres;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-start-"));
  await chmod(directory, 0o711);
  const log = { info: () => undefined, warn: () => undefined };
  server = await startEmbeddedPostgres({ directory: join(directory, "server"), log });
});

afterAll(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

const configuration = (change: Partial<OrchestratorConfig> = {}): OrchestratorConfig => ({
  stateDirectory: join(directory, "state"),
  listen: { host: "127.0.0.1", port: 0 },
  databaseUrl: server.url,
  agentCommand: [process.execPath],
  logLevel: "silent",
  ...change,
});

describe("the orchestrator", () => {
  it("uses the database server that it is given, and keeps its records there", async () => {
    const cluster = { kind: "cluster", name: "quay", driver: "process", directory: join(directory, "quay") };
    const databaseUrlFile = join(directory, "database-url");
    await writeFile(databaseUrlFile, `${server.url}\n`);
    const running = await startOrchestrator(configuration({ databaseUrl: undefined, databaseUrlFile }));
    try {
      const token = (await readFile(join(directory, "state", "admin-token"), "utf8")).trim();
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      expect((await request(`${running.url}/v1/clusters`)).statusCode).toBe(401);
      const body = JSON.stringify(cluster);
      const put = await request(`${running.url}/v1/clusters/quay`, { method: "PUT", headers, body });
      expect(put.statusCode).toBe(200);
    } finally {
      await running.stop();
    }
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    const { rows } = await client.query<{ manifest: unknown }>("select manifest from baton.clusters");
    await client.end();
    expect(rows).toEqual([{ manifest: cluster }]);
    await expect(access(join(directory, "state", "postgres"))).rejects.toMatchObject({ code: "ENOENT" });
    expect((await stat(join(directory, "state", "admin-token"))).mode & 0o777).toBe(0o600);
  });

  it("does not start on the database of another signing key", async () => {
    const stranger = configuration({ stateDirectory: join(directory, "another") });
    await expect(startOrchestrator(stranger)).rejects.toMatchObject({
      code: "invalid-configuration",
      message: expect.stringContaining("set up with another signing key") as string,
    });
  });

  it("ends with one sentence, and without the password, when the database does not answer", async () => {
    const databaseUrl = "postgresql://baton:hunter2@127.0.0.1:1/baton";
    await expect(startOrchestrator(configuration({ databaseUrl }))).rejects.toMatchObject({
      code: "database-unavailable",
      message: expect.not.stringContaining("hunter2") as string,
    });
  });
});
