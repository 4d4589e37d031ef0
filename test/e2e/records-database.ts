/** The orchestrator's records in a PostgreSQL of Debian's, with its own tools to back them up and to restore them. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { findPart } from "../presets/find-program.ts";
import { openPostgresBed } from "../storage/postgres-bed.ts";

const { paths, options } = findPart("PostgreSQL", ["initdb", "postgres", "pg_dump", "pg_restore"]);
const [, , pgDump = "", pgRestore = ""] = paths;
export const recordsOptions = options;

export interface RecordsDatabase {
  /** An empty database. @returns its URL */
  create(name: string): Promise<string>;
  dump(url: string, file: string): Promise<string>;
  restore(url: string, file: string): Promise<void>;
  close(): Promise<void>;
}

export async function openRecordsDatabase(directory: string): Promise<RecordsDatabase> {
  const bed = await openPostgresBed();
  const root = await bed.connect(bed.root);
  const run = async (program: string, url: string, ...args: readonly string[]): Promise<void> => {
    // The password belongs into no command line.
    const { hostname, port, username, password, pathname } = new URL(url);
    const to = ["-h", hostname, "-p", port, "-U", username, "-d", pathname.slice(1)];
    await promisify(execFile)(program, [...to, ...args], { env: { ...process.env, PGPASSWORD: password } });
  };
  return {
    async create(name) {
      await root.query(`create database ${name}`);
      const { host, port } = bed.door;
      return `postgresql://${bed.root.user}:${bed.root.password}@${host}:${port}/${name}`;
    },
    async dump(url, name) {
      const file = join(directory, name);
      await run(pgDump, url, "--format=custom", "--file", file);
      return file;
    },
    restore: (url, file) => run(pgRestore, url, "--exit-on-error", file),
    close: () => bed.close(),
  };
}
