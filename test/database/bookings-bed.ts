/** An application whose data is in a real PostgreSQL, on the clusters of a real orchestrator; what it wrote is asked of the server. */
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { type Harbour, openHarbour, runOperation } from "@baton/example-ledger/demo";
import {
  type ApplicationManifest,
  type HookInput,
  type Operation,
  hookSchema,
  parseAs,
} from "@baton/protocol";
import pg from "pg";
import { type Account, newAccount, openPostgresBed } from "../storage/postgres-bed.ts";

const program = fileURLToPath(new URL("fixtures/bookings.ts", import.meta.url));
const plantedFile = new URL("fixtures/planted.ts", import.meta.url).href;
const name = "bookings";

export interface BookingsParams {
  /** A defect of fixtures/planted.ts. */
  readonly planted?: "fence" | "start";
  readonly hook?: HookInput;
  readonly burstMs?: number;
  readonly storageUse?: ApplicationManifest["storageUse"];
}

export async function openBookings(params: BookingsParams = {}) {
  const { planted, hook = {}, burstMs = 0, storageUse = "lease" } = params;
  const postgres = await openPostgresBed();
  const root = new pg.Pool({ ...postgres.door, ...postgres.root, max: 2 });
  let harbour: Harbour | undefined;
  const close = async (): Promise<void> => {
    await harbour?.close();
    await root.end();
    await postgres.close();
  };
  try {
    await root.query("create role owners nologin");
    await root.query("create database bookings owner owners");
    const admin = newAccount("baton");
    await root.query(`create role "${admin.user}" login createrole password '${admin.password}'`);
    await root.query(
      `grant owners, pg_read_all_stats, pg_signal_backend to "${admin.user}" with admin option`,
    );
    const door = { ...postgres.door, database: "bookings" };
    const data = new pg.Pool({ ...door, ...postgres.root, max: 2 });
    const opened = await openHarbourWith(planted);
    harbour = opened;
    const { client, directory } = opened;
    const file = join(directory, "postgres-admin.json");
    await writeFile(file, JSON.stringify(admin), { mode: 0o600 });
    await client.apply({
      kind: "database",
      name,
      engine: "postgres",
      url: `postgres://${door.host}:${door.port}/${door.database}`,
      group: "owners",
      admin: { file },
    });
    await client.apply({
      kind: "application",
      name,
      storage: "harbor",
      storageUse,
      database: name,
      workload: { command: [process.execPath, program], environment: { BURST_MS: String(burstMs) } },
      hook: parseAs(hookSchema, hook, "the hook"),
      readiness: { path: "/readyz", timeoutMs: 60_000 },
    });
    return {
      harbour: opened,
      data,
      run: (kind: "deploy" | "migrate", to: string): Promise<Operation> =>
        runOperation(client, { kind, application: name, to }),
      /** Where the application serves, and what its process was given. */
      async serving() {
        const { placement, cluster, epoch } = await client.route(name);
        return { placement, cluster, epoch, ...(await givenTo(placement ?? "")) };
      },
      /** How the server answers a login with these. */
      async tryLogin(account: Account): Promise<string> {
        const trial = new pg.Client({ ...door, ...account });
        trial.on("error", () => undefined);
        try {
          await trial.connect();
          await trial.end();
          return "let in";
        } catch (error) {
          return String((error as { readonly code?: string }).code);
        }
      },
      /** How many of the role's rows are later than the first one of the other's, and how many sessions it has. */
      async leftOf(old: string, next: string) {
        const rows = await data.query(
          'select count(*)::int as late from bookings where "by" = $1 and at > (select min(at) from bookings where "by" = $2)',
          [old, next],
        );
        const sessions = await data.query(
          "select count(*)::int as n from pg_stat_activity where usename = $1",
          [old],
        );
        return { lateRows: rows.rows[0].late as number, sessions: sessions.rows[0].n as number };
      },
      book: (id: string): Promise<number> => book(opened, id),
      async close(): Promise<void> {
        await data.end();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @param planted for every process of it */
async function openHarbourWith(planted: string | undefined): Promise<Harbour> {
  if (planted === undefined) return openHarbour();
  const { NODE_OPTIONS: before } = process.env;
  Object.assign(process.env, { NODE_OPTIONS: `--import=${plantedFile}`, PLANTED: planted });
  try {
    return await openHarbour();
  } finally {
    delete process.env["PLANTED"];
    if (before === undefined) delete process.env["NODE_OPTIONS"];
    else process.env["NODE_OPTIONS"] = before;
  }
}

/** The status that the application answers with, wherever it is; 0 for no answer. */
async function book({ client }: Harbour, id: string): Promise<number> {
  try {
    const { url } = await client.route(name);
    const answer = await fetch(new URL("/", url ?? ""), {
      method: "POST",
      body: id,
      headers: { connection: "close" },
      signal: AbortSignal.timeout(5_000),
    });
    return answer.status;
  } catch {
    await delay(20);
    return 0;
  }
}

async function givenTo(placement: string) {
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0);
  const read = async (pid: number) => readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
  const all = await Promise.all(pids.map(read));
  const own = all.find((text) => text.includes(`BATON_PLACEMENT=${placement}\0`)) ?? "";
  const environment = new Map(own.split("\0").map((line) => line.split(/=(.*)/s) as [string, string]));
  return {
    environment,
    account: { user: environment.get("PGUSER") ?? "", password: environment.get("PGPASSWORD") ?? "" },
  };
}
