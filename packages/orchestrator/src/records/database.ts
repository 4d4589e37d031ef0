import { readFile, readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { AppError } from "@baton/protocol";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { PreparingClient } from "./preparing-client.ts";
import type { Schema } from "./schema.ts";

export type Database = Kysely<Schema>;

/** Any number that is ours: replicas that start at once take turns. */
const migrationLock = 4_127_390_215;
const migrationTurnMs = 120_000;
const migrationPollMs = 100;
const connectTimeoutMs = 10_000;
const statementTimeoutMs = 30_000;

/**
 * Opens the records in the schema `baton` of this database and brings them to the newest version.
 *
 * @throws `invalid-configuration`, `database-unavailable`; neither shows the URL.
 */
export async function openDatabase(url: string, migrations: URL): Promise<Database> {
  // The driver's own error quotes it, password and all.
  if (!URL.canParse(url))
    throw new AppError("invalid-configuration", "cannot open the records: the database's URL is not a URL");
  try {
    await withMigrationLock(url, (client) => migrate(client, migrations));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
    throw new AppError(
      "database-unavailable",
      `cannot open the records: the database does not answer or refuses${code}; see that it runs and that its URL is right`,
      { cause: error },
    );
  }
  return new Kysely<Schema>({
    dialect: new PostgresDialect({ pool: openPool({ ...connection(url), max: 8 }) }),
  });
}

/** Connections that prepare their statements. */
export function openPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({ ...config, Client: PreparingClient });
  // An idle connection that breaks is replaced at its next use; the query then says what is wrong.
  pool.on("error", () => undefined);
  return pool;
}

const connection = (url: string): pg.ClientConfig => ({
  connectionString: url,
  connectionTimeoutMillis: connectTimeoutMs,
  statement_timeout: statementTimeoutMs,
  options: "-c search_path=baton",
  keepAlive: true,
});

/** Lets one process at a time change the schemas of this database, ours and the engine's. @throws also when its turn does not come within two minutes. */
export async function withMigrationLock<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(connection(url));
  client.on("error", () => undefined);
  await client.connect();
  try {
    // It asks again and again: who waits inside a statement keeps the holder from ever finishing an index that it builds concurrently.
    for (const endAt = performance.now() + migrationTurnMs; ; await delay(migrationPollMs)) {
      const { rows } = await client.query<{ taken: boolean }>("select pg_try_advisory_lock($1) as taken", [
        migrationLock,
      ]);
      if (rows[0]?.taken === true) return await work(client);
      if (performance.now() >= endAt)
        throw new Error("another process has been migrating the database for long");
    }
  } finally {
    // Also ends a transaction that failed, and gives the lock back.
    await client.end().catch(() => undefined);
  }
}

async function migrate(client: pg.Client, directory: URL): Promise<void> {
  const files = (await readdir(directory)).filter((name) => /^\d{4}-.*\.sql$/.test(name)).toSorted();
  await client.query("create schema if not exists baton");
  await client.query(
    "create table if not exists baton.migrations (name text primary key, applied_at timestamptz not null default now())",
  );
  const { rows } = await client.query<{ name: string }>("select name from baton.migrations");
  const applied = new Set(rows.map((row) => row.name));
  for (const name of files.filter((file) => !applied.has(file))) {
    await client.query("begin");
    await client.query(await readFile(new URL(name, directory), "utf8"));
    await client.query("insert into baton.migrations (name) values ($1)", [name]);
    await client.query("commit");
  }
}
