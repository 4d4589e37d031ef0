import { chmod, mkdtemp, readdir, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { startEmbeddedPostgres } from "./embedded-postgres.ts";
import type { EmbeddedPostgres } from "./embedded-postgres.ts";

/** A temporary directory and the servers started in it. */
export interface TestBed {
  readonly directory: string;
  start(signal?: AbortSignal): Promise<EmbeddedPostgres>;
  /** Processes whose working directory is below ours: postmaster, its children, initdb's servers. */
  processes(): Promise<string[]>;
  /** Stops all servers; fails if a process is left. */
  end(): Promise<void>;
}

export async function createTestBed(): Promise<TestBed> {
  const directory = await mkdtemp(join(tmpdir(), "baton-postgres-"));
  await chmod(directory, 0o711); // As root the server runs as another user.
  const started: EmbeddedPostgres[] = [];
  const processes = async () => {
    const found = [];
    for (const pid of await readdir("/proc")) {
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => "");
      if (cwd.startsWith(directory)) found.push(pid);
    }
    return found;
  };
  return {
    directory,
    processes,
    async start(signal) {
      const server = await startEmbeddedPostgres({ directory, log: pino({ level: "silent" }), signal });
      started.push(server);
      return server;
    },
    async end() {
      await Promise.allSettled(started.map((server) => server.stop()));
      const left = await processes();
      await rm(directory, { recursive: true, force: true });
      if (left.length > 0) throw new Error(`processes left behind: ${left.join(", ")}`);
    },
  };
}

export const createRows = "create table t (n int); insert into t select generate_series(1, 1000)";
export const countRows = "select count(*)::int as n from t";

export async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
