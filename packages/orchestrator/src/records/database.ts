import { readFile, readdir } from "node:fs/promises";
import { AppError } from "@baton/protocol";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import type { Schema } from "./schema.ts";

export type Database = Kysely<Schema>;

/** Any number that is ours: replicas that start at once take turns. */
const migrationLock = 4_127_390_215;
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
  const pool = new pg.Pool({
    connectionString: url,
    max: 8,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    options: "-c search_path=baton",
    keepAlive: true,
  });
  // An idle connection that breaks is replaced at its next use; the query then says what is wrong.
  pool.on("error", () => undefined);
  try {
    await migrate(pool, migrations);
  } catch (error) {
    await pool.end();
    const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
    throw new AppError(
      "database-unavailable",
      `cannot open the records: the database does not answer or refuses${code}; see that it runs and that its URL is right`,
      { cause: error },
    );
  }
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
}

async function migrate(pool: pg.Pool, directory: URL): Promise<void> {
  const files = (await readdir(directory)).filter((name) => /^\d{4}-.*\.sql$/.test(name)).toSorted();
  const client = await pool.connect();
  try {
    await client.query("select pg_advisory_lock($1)", [migrationLock]);
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
  } finally {
    // Also ends a transaction that failed, and gives the lock back.
    client.release(true);
  }
}
