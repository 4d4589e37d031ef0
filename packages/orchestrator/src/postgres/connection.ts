import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { codeOf } from "./unavailable.ts";

/** Where to connect; the server listens on 127.0.0.1 only. */
export interface Address {
  readonly port: number;
  readonly password: string;
}

const connectTimeoutMs = 3_000;
const queryTimeoutMs = 10_000;

export function databaseUrl({ port, password }: Address): string {
  return `postgresql://baton:${password}@127.0.0.1:${port}/baton`;
}

/** Runs `work` on one connection to the database `postgres`, which every server has. */
async function withClient<Result>(address: Address, work: (client: pg.Client) => Promise<Result>) {
  const client = new pg.Client({
    ...address,
    host: "127.0.0.1",
    user: "baton",
    database: "postgres",
    ssl: false,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
  });
  client.on("error", () => {}); // The failed query tells it.
  try {
    await client.connect();
    return await work(client);
  } finally {
    // Not awaited: a server that hangs would hold us here.
    void client.end().catch(() => {});
  }
}

/** Waits until `select 1` works. An answer proves that the server knows our password (SCRAM is mutual). */
export async function waitForAnswer(
  address: Address,
  options: { readonly deadlineAt: number; readonly giveUp: () => boolean | Promise<boolean> },
): Promise<{ readonly answered: boolean; readonly error?: unknown }> {
  for (;;) {
    try {
      await withClient(address, (client) => client.query("select 1"));
      return { answered: true };
    } catch (error) {
      const wrongPassword = codeOf(error) === "28P01";
      if (wrongPassword || Date.now() > options.deadlineAt) return { answered: false, error };
    }
    if (await options.giveUp()) return { answered: false };
    await sleep(30);
  }
}

/** Creates the database `baton` unless it is there; safe when two do so at once. */
export async function ensureDatabase(address: Address): Promise<void> {
  await withClient(address, async (client) => {
    const found = await client.query("select 1 from pg_database where datname = 'baton'");
    if (found.rowCount) return;
    try {
      await client.query("create database baton");
    } catch (error) {
      // duplicate_database, or unique_violation if the other one committed in between
      if (codeOf(error) !== "42P04" && codeOf(error) !== "23505") throw error;
    }
  });
}
