import { spawn } from "node:child_process";

/** The unprivileged user that Postgres' programs run as when we are root. */
export interface RunAs {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * What every program of Postgres is spawned with. The environment is not ours: it holds credentials which
 * that other user could read in /proc, and PG* variables which would change the server. The working
 * directory is one that any user may enter.
 */
export function spawnIdentity(runAs: RunAs | undefined) {
  const env = { LC_ALL: "C", TZ: "UTC", PATH: "/usr/local/bin:/usr/bin:/bin" };
  return { env, cwd: "/", ...(runAs && { uid: runAs.uid, gid: runAs.gid }) };
}

export interface ToolResult {
  /** The exit code; `null` when it could not be run, was killed or ran out of time. */
  readonly code: number | null;
  /** stdout and stderr, trimmed; or why it could not be run. */
  readonly output: string;
}

export interface ToolOptions {
  readonly runAs: RunAs | undefined;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Runs a program to its end. Past the deadline or on abort it is killed with everything it started. */
export function runTool(file: string, args: readonly string[], options: ToolOptions): Promise<ToolResult> {
  const { promise, resolve } = Promise.withResolvers<ToolResult>();
  // Detached: a process group of its own, so that the servers that initdb starts end with it.
  const child = spawn(file, args, {
    ...spawnIdentity(options.runAs),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  }

  const kill = (why: string) => {
    output += `\n${why}`;
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  const timer = setTimeout(() => kill(`no end after ${options.timeoutMs} ms`), options.timeoutMs);
  const onAbort = () => kill("cancelled");
  options.signal?.addEventListener("abort", onAbort);
  if (options.signal?.aborted) onAbort();

  child.once("error", (error) => resolve({ code: null, output: error.message }));
  child.once("close", (code) => resolve({ code, output: output.trim() }));
  return promise.finally(() => {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  });
}
