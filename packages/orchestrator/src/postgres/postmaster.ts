import { readFile, readlink, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findProcess, isRunning } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { unfinishedPath } from "./unfinished.ts";
import { codeOf, databaseUnavailable } from "./unavailable.ts";

/** A running server of one data directory. */
export interface Postmaster extends ProcessIdentity {
  /** `undefined` in the first moments, when its pid file is not complete. */
  readonly port: number | undefined;
}

/**
 * The living postmaster of this data directory by its postmaster.pid, `undefined` if there is none.
 * A pid file that names a process of another kind (pids are used again after a reboot) is put away,
 * because Postgres itself would refuse to start for as long as that process lives.
 */
export async function findPostmaster(data: string): Promise<Postmaster | undefined> {
  const pidFile = join(data, "postmaster.pid");
  const named = await readPidFile(pidFile);
  const found = named && (await findProcess(named.pid));
  if (!found) return undefined;
  if (await servesData(found, data)) return { ...found, port: named.port };
  await putAway(pidFile, named.pid);
  return undefined;
}

/** Line 1 is the pid (negative for a single-user server), line 4 the port (Postgres' pidfile.h). */
async function readPidFile(path: string): Promise<{ pid: number; port: number | undefined } | undefined> {
  const lines = await readFile(path, "utf8").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return "";
    throw error;
  });
  const [pid, , , port] = lines.split("\n").map((line) => Math.abs(Number(line)));
  return pid ? { pid, port: port || undefined } : undefined;
}

/**
 * Whether a running process is a postmaster of this data directory. The command line comes first: the
 * working directory of another user's process may not be read by root in a container (no CAP_SYS_PTRACE).
 */
async function servesData(found: ProcessIdentity, data: string): Promise<boolean> {
  try {
    const argv = (await readFile(`/proc/${found.pid}/cmdline`, "utf8")).split("\0");
    if (basename(argv[0] ?? "") !== "postgres") return false;
    if (argv[argv.indexOf("-D") + 1] === data) return true;
    if ((await stat(`/proc/${found.pid}`)).uid !== (await stat(data)).uid) return false;
    return (await readlink(`/proc/${found.pid}/cwd`)) === data;
  } catch (error) {
    if (!(await isRunning(found))) return false;
    throw databaseUnavailable(
      `cannot tell whether process ${found.pid} serves the database in ${data}: ${String(codeOf(error))}; ` +
        "stop that process, then start again",
      error,
    );
  }
}

/** Removes the pid file if it still names `pid`: another start may have replaced it since. */
async function putAway(pidFile: string, pid: number): Promise<void> {
  const aside = await unfinishedPath(join(pidFile, "..", ".."), "stale-pid");
  await rename(pidFile, aside);
  if ((await readPidFile(aside))?.pid === pid) await rm(aside);
  else await rename(aside, pidFile);
}

export interface StopDeadlines {
  /** For the fast shutdown: sessions are ended, a checkpoint is written. */
  readonly fastMs: number;
  /** For the immediate shutdown after it, which the next start recovers from. */
  readonly immediateMs: number;
}

/**
 * Stops a server and waits until its process is gone: SIGINT (fast), then SIGQUIT (immediate). A process
 * that has ended or been replaced meanwhile gets no signal.
 */
export async function stopPostmaster(
  postmaster: ProcessIdentity,
  data: string,
  deadlines: StopDeadlines = { fastMs: 20_000, immediateMs: 10_000 },
): Promise<void> {
  const steps = [
    ["SIGINT", deadlines.fastMs],
    ["SIGQUIT", deadlines.immediateMs],
  ] as const;
  for (const [signal, waitMs] of steps) {
    if (!(await isRunning(postmaster)) || !(await servesData(postmaster, data))) return;
    try {
      process.kill(postmaster.pid, signal);
    } catch (error) {
      if (codeOf(error) !== "ESRCH") throw error;
    }
    for (const end = Date.now() + waitMs; Date.now() < end; await sleep(20)) {
      if (!(await isRunning(postmaster))) return;
    }
  }
  throw databaseUnavailable(
    `cannot stop the embedded Postgres in ${data}: process ${postmaster.pid} did not end within ` +
      `${deadlines.fastMs + deadlines.immediateMs} ms; look at postgres.log beside it`,
  );
}
