import { access, chown, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ensurePassword, readPassword } from "./password.ts";
import { runTool } from "./run-tool.ts";
import type { RunAs } from "./run-tool.ts";
import { removeAbandoned, syncPath, unfinishedPath } from "./unfinished.ts";
import { codeOf, databaseUnavailable } from "./unavailable.ts";

const initdbTimeoutMs = 60_000;

/** The files of one embedded Postgres. */
export interface DatabaseFiles {
  readonly directory: string;
  readonly data: string;
  readonly password: string;
  readonly port: string;
  readonly log: string;
}

export function databaseFiles(directory: string): DatabaseFiles {
  const path = (name: string) => join(directory, name);
  return {
    directory,
    data: path("data"),
    password: path("password"),
    port: path("port"),
    log: path("postgres.log"),
  };
}

export interface CreateOptions {
  readonly files: DatabaseFiles;
  readonly initdb: string;
  readonly runAs: RunAs | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Makes sure that `data` is a complete data directory and returns its password. A new one is made under
 * another name and renamed, so a kill at any moment leaves all or nothing; of two callers one wins.
 */
export async function ensureData({ files, initdb, runAs, signal }: CreateOptions): Promise<string> {
  for (const prefix of ["initdb", "password"]) await removeAbandoned(files.directory, prefix);
  if (await isDataDirectory(files.data)) return readPassword(files.password);

  const password = await ensurePassword(files.password);
  const unfinished = await unfinishedPath(files.directory, "initdb");
  const data = join(unfinished, "data");
  const passwordFile = join(unfinished, "password");
  try {
    await mkdir(unfinished, { mode: 0o700 });
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (runAs) for (const path of [passwordFile, unfinished]) await chown(path, runAs.uid, runAs.gid);
    const args = [
      `--pgdata=${data}`,
      "--username=baton",
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--no-locale",
      "--no-instructions",
    ];
    const { code, output } = await runTool(initdb, args, { runAs, signal, timeoutMs: initdbTimeoutMs });
    signal?.throwIfAborted();
    if (code !== 0) {
      throw databaseUnavailable(
        `cannot create the database in ${files.data}: initdb failed: ${output.split("\n").slice(-5).join("; ")}`,
      );
    }
    await rename(data, files.data).catch((error: unknown) => {
      if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "EEXIST") throw error;
    });
    await syncPath(files.directory);
  } finally {
    await rm(unfinished, { recursive: true, force: true, maxRetries: 3 });
  }
  if (await isDataDirectory(files.data)) return password;
  throw databaseUnavailable(
    `cannot create the database in ${files.data}: the directory holds something else; move it away`,
  );
}

async function isDataDirectory(data: string): Promise<boolean> {
  try {
    await access(join(data, "PG_VERSION"));
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}
