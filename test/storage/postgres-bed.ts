/** A PostgreSQL server of its own for a test file, on loopback, in a temporary directory; passwords are asked for. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { until } from "../containers/until.ts";
import { findPart } from "../presets/find-program.ts";
import { asServerUser, createPresetBed, freePort, upMs } from "../presets/preset-bed.ts";

const { paths, options } = findPart("PostgreSQL", ["initdb", "postgres"]);
const [initdb = "", postgres = ""] = paths;
export const postgresOptions = options;
export const postgresBedMs = 120_000;

export interface Account {
  readonly user: string;
  readonly password: string;
}

export const newAccount = (user: string): Account => ({ user, password: randomBytes(16).toString("hex") });

export async function openPostgresBed() {
  const files = await createPresetBed();
  const root = newAccount("postgres");
  const passwordFile = join(files.directory, "password");
  await writeFile(passwordFile, root.password);
  await chmod(passwordFile, 0o644);
  const cluster = join(files.data, "cluster");
  const make = [initdb, "-D", cluster, "-U", root.user, "-A", "scram-sha-256", "-N"];
  await files.run(asServerUser([...make, `--pwfile=${passwordFile}`]));
  const port = await freePort();
  const settings = ["listen_addresses=127.0.0.1", "max_prepared_transactions=5", "fsync=off"];
  const [file = "", ...args] = asServerUser([
    postgres,
    "-D",
    cluster,
    "-p",
    String(port),
    "-k",
    files.data,
    ...settings.flatMap((each) => ["-c", each]),
  ]);
  const server: ChildProcess = spawn(file, args, {
    env: files.environment,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  server.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const door = { host: "127.0.0.1", port, database: "postgres" };
  const clients: pg.Client[] = [];

  const bed = {
    door,
    root,
    /** What the server wrote. */
    log: () => log,
    /** Whether the server lets in whoever names a role, without a password. */
    async trustEverybody(isTrusting: boolean): Promise<void> {
      const file = join(cluster, "pg_hba.conf");
      const rules = await readFile(file, "utf8");
      const [from, to] = isTrusting ? ["scram-sha-256", "trust"] : ["trust", "scram-sha-256"];
      await writeFile(file, rules.replaceAll(from, to));
      await bed.reload();
    },
    /** Lets the settings in its files hold. */
    async reload(): Promise<void> {
      const before = log.length;
      server.kill("SIGHUP");
      await until("the server read its files", () => log.slice(before).includes("received SIGHUP"), upMs);
    },
    /** A connection that lasts as long as the bed. */
    async connect(login: Account, database = door.database): Promise<pg.Client> {
      const client = new pg.Client({ ...door, ...login, database });
      // A session that is ended says so here, too.
      client.on("error", () => undefined);
      await client.connect();
      clients.push(client);
      return client;
    },
    async close(): Promise<void> {
      for (const client of clients) await client.end().catch(() => undefined);
      if (server.exitCode === null && server.signalCode === null) {
        const exited = once(server, "exit");
        server.kill("SIGINT");
        await exited;
      }
      await files.end();
    },
  };
  try {
    await until(
      "the server answers",
      () => {
        if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`);
        const trial = new pg.Client({ ...door, ...root });
        trial.on("error", () => undefined);
        const answered = trial.connect().then(
          () => trial.end().then(() => true),
          () => false,
        );
        return answered;
      },
      upMs,
    );
  } catch (error) {
    await bed.close();
    throw error;
  }
  return bed;
}

export type PostgresBed = Awaited<ReturnType<typeof openPostgresBed>>;
