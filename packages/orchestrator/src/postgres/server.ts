import { setTimeout as sleep } from "node:timers/promises";
import { waitForAnswer } from "./connection.ts";
import type { DatabaseFiles } from "./data-directory.ts";
import { launchPostmaster } from "./launch.ts";
import { findPostmaster, stopPostmaster } from "./postmaster.ts";
import { isRunning } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import type { RunAs } from "./run-tool.ts";
import { codeOf, databaseUnavailable } from "./unavailable.ts";

const readyTimeoutMs = 30_000;
const attachedPollMs = 1_000;

/** A server that answered. */
export interface Server {
  readonly process: ProcessIdentity;
  readonly port: number;
  /** Whether an earlier process, killed since, or another one launched it. */
  readonly attached: boolean;
  /** Fulfilled with how it ended; never rejected. */
  readonly ended: Promise<string>;
}

export interface ServerOptions {
  readonly files: DatabaseFiles;
  readonly password: string;
  readonly postgres: string;
  readonly runAs: RunAs | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Attaches to the living server of this data directory, or launches one. Which of two simultaneous callers
 * launches is decided by Postgres' own lock; the loser attaches to the winner's.
 */
export async function attachOrLaunch(options: ServerOptions): Promise<Server> {
  for (let attempt = 1; ; attempt += 1) {
    options.signal?.throwIfAborted();
    const server = (await attach(options)) ?? (await launch(options, attempt < 40));
    if (server) return server;
    await sleep(250, undefined, { signal: options.signal });
  }
}

/** `undefined` when no server lives, or it ended while we waited for its answer. */
async function attach({ files, password, signal }: ServerOptions): Promise<Server | undefined> {
  const deadlineAt = Date.now() + readyTimeoutMs;
  for (;;) {
    const found = await findPostmaster(files.data);
    if (!found) return undefined;
    if (found.port !== undefined) {
      const giveUp = async () => signal?.aborted || !(await isRunning(found));
      const result = await waitForAnswer({ port: found.port, password }, { deadlineAt, giveUp });
      signal?.throwIfAborted();
      if (result.answered) {
        return { process: found, port: found.port, attached: true, ended: pollForEnd(found) };
      }
      if (!(await isRunning(found))) return undefined;
      throw notAnswering(files, found.pid, result.error);
    }
    if (Date.now() > deadlineAt) throw notAnswering(files, found.pid, undefined);
    await sleep(30, undefined, { signal });
  }
}

/** `undefined` when it ended for a reason that another attempt may get around. */
async function launch(options: ServerOptions, mayRetry: boolean): Promise<Server | undefined> {
  const { files, password, signal } = options;
  const launched = await launchPostmaster(files, options.postgres, options.runAs);
  const { process, port } = launched;
  let end = process ? undefined : await launched.ended;
  void launched.ended.then((how) => (end = how));
  const result = await waitForAnswer(
    { port, password },
    { deadlineAt: Date.now() + readyTimeoutMs, giveUp: () => signal?.aborted || end !== undefined },
  );
  if (process && end === undefined) {
    if (result.answered && !signal?.aborted) return { process, port, attached: false, ended: launched.ended };
    // Recovery after a crash is left to finish: stopped now, it would begin anew at every start.
    if (codeOf(result.error) !== "57P03") await stopPostmaster(process, files.data);
    signal?.throwIfAborted();
    throw notAnswering(files, process.pid, result.error);
  }
  const lines = await launched.lastLines();
  // The port was taken; another start was faster; or children of a killed postmaster are still ending.
  const passing = /could not bind|lock file ".*" (already exists|is empty)|still in use/;
  if (mayRetry && passing.test(lines)) return undefined;
  throw databaseUnavailable(
    `cannot start the embedded Postgres in ${files.directory}: it ended early (${end}); ` +
      `the last lines of ${files.log}:\n${lines}`,
  );
}

function notAnswering({ directory, log, password }: DatabaseFiles, pid: number, error: unknown) {
  const last = error instanceof Error ? error.message : "its pid file names no port";
  const why =
    codeOf(error) === "28P01"
      ? `it does not accept the password in ${password}; restore that file`
      : `no answer within ${readyTimeoutMs / 1000} s (${last}); if it is recovering from a crash, wait and start ` +
        `again; see ${log}`;
  return databaseUnavailable(
    `cannot connect to the embedded Postgres in ${directory}, process ${pid}: ${why}`,
    error,
  );
}

/** Another's child tells us nothing when it ends, so it is looked at. A failed look says nothing. */
async function pollForEnd(process: ProcessIdentity): Promise<string> {
  while (await isRunning(process).catch(() => true)) {
    await sleep(attachedPollMs, undefined, { ref: false });
  }
  return "its process is gone";
}
