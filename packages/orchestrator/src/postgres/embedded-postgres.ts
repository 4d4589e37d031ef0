import { writeFile } from "node:fs/promises";
import type { Logger } from "pino";
import { findBinaries } from "./binaries.ts";
import { databaseUrl, ensureDatabase } from "./connection.ts";
import { databaseFiles, ensureData } from "./data-directory.ts";
import type { DatabaseFiles } from "./data-directory.ts";
import { stopPostmaster } from "./postmaster.ts";
import { assertReachable, chooseRunAs, makeDirectory } from "./run-as.ts";
import { attachOrLaunch } from "./server.ts";
import type { Server } from "./server.ts";
import { asUnavailable, databaseUnavailable } from "./unavailable.ts";

/** Where root's copy of the programs goes when the server's user may not read the installed ones. */
const rootCopiesDirectory = "/var/cache/baton";

export interface EmbeddedPostgresOptions {
  /** Holds `data/`, `password`, `port` and `postgres.log`; made when missing. For nothing else. */
  readonly directory: string;
  readonly log: Pick<Logger, "info" | "warn">;
  /** Ends the start, and the server with it. It has no effect once the server is ready. */
  readonly signal?: AbortSignal | undefined;
}

export interface EmbeddedPostgres {
  /** `postgresql://baton:PASSWORD@127.0.0.1:PORT/baton`. A secret: it holds the password. */
  readonly url: string;
  /** Whether the server ran already: launched by a process that was killed, or by one that still lives. */
  readonly attached: boolean;
  /** Never fulfilled; rejected with `database-unavailable` when the server ends without `stop`. */
  readonly exited: Promise<never>;
  /**
   * Stops the server, attached or not, and waits until its process is gone. Further calls join the first.
   *
   * @throws `database-unavailable` if it is still there after 30 s
   */
  stop(): Promise<void>;
}

/**
 * Gives a ready Postgres on 127.0.0.1 whose data lives in `directory`: attaches to the server left behind by a
 * killed process, else starts one, and creates user, password and database the first time. It outlives this
 * process unless stopped. As root it runs as the user `postgres` or `nobody`.
 *
 * @throws `database-unavailable` for everything that goes wrong, an abort too
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    return await start(options);
  } catch (error) {
    throw asUnavailable("start", options.directory, error);
  }
}

async function start({ directory, log, signal }: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const startedAt = performance.now();
  const files = databaseFiles(await makeDirectory(directory));
  const runAs = await chooseRunAs(files.data);
  const copiesDirectory = runAs ? rootCopiesDirectory : files.directory;
  const { initdb, postgres } = await findBinaries({ runAs, copiesDirectory });
  if (runAs) await assertReachable(files.directory, runAs, postgres);
  const password = await ensureData({ files, initdb, runAs, signal });
  const server = await attachOrLaunch({ files, password, postgres, runAs, signal });
  const { port, attached } = server;
  try {
    await ensureDatabase({ port, password });
    await writeFile(files.port, `${port}\n`);
  } catch (error) {
    if (!attached) await stopPostmaster(server.process, files.data);
    throw error;
  }
  const facts = { port, attached, pid: server.process.pid, user: runAs?.name, postgres };
  log.info({ ...facts, ms: Math.round(performance.now() - startedAt) }, "the embedded Postgres is ready");
  return supervise(server, files, databaseUrl({ port, password }), log);
}

function supervise(
  server: Server,
  files: DatabaseFiles,
  url: string,
  log: EmbeddedPostgresOptions["log"],
): EmbeddedPostgres {
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    try {
      await stopPostmaster(server.process, files.data);
      log.info({ pid: server.process.pid }, "the embedded Postgres has stopped");
    } catch (error) {
      throw asUnavailable("stop", files.directory, error);
    }
  };
  const exited = server.ended.then(async (how): Promise<never> => {
    if (stopping) return new Promise<never>(() => {});
    log.warn({ pid: server.process.pid, how }, "the embedded Postgres has ended by itself");
    throw databaseUnavailable(
      `cannot go on with the embedded Postgres in ${files.directory}: it ended (${how}); see ${files.log}, then start again`,
    );
  });
  exited.catch(() => {}); // Nobody has to listen.
  return { url, attached: server.attached, exited, stop: () => (stopping ??= stop()) };
}
