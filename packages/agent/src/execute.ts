import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { hasNoNewPrivileges, identify } from "@baton/process-tree";
import type { AgentConfig } from "@baton/protocol";
import { applicationEnvironment } from "./application-environment.ts";
import { type Application, type Exit, createApplication } from "./application.ts";
import type { RunFacts } from "./facts.ts";

const found = (name: string): string | undefined =>
  [`/usr/bin/${name}`, `/bin/${name}`].find((path) => existsSync(path));
const setpriv = found("setpriv");
const prlimit = found("prlimit");

/**
 * Whether no process of a run can change its user by a setuid file, so that other users' processes, which an ordinary user cannot look into,
 * are certainly not of the run. The agent arranges it where `setpriv` (util-linux) is installed.
 */
export const withholdsPrivileges = async ({ newPrivileges }: AgentConfig): Promise<boolean> =>
  (!newPrivileges && setpriv !== undefined) || (await hasNoNewPrivileges("self"));

export interface ExecuteParams {
  readonly config: AgentConfig;
  readonly facts: RunFacts;
  /** The agent's own environment. */
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly secrets: Readonly<Record<string, string>>;
  /** Gets the application's output, appended, when the configuration says `file`. */
  readonly logPath: string;
}

/**
 * Executes the workload. A command that cannot be executed gives an application that exited with 126 or 127.
 *
 * @throws only when nothing was executed; the message may hold secrets
 */
export async function executeApplication(params: ExecuteParams): Promise<Application> {
  const { config, facts, inherited, secrets, logPath } = params;
  const { workload } = config;
  if (workload === null) throw new Error("there is no workload to execute");
  const [file = "", ...args] = wrapped(config, workload.command);
  const environment = applicationEnvironment({ config, facts, inherited, secrets });
  const log = config.output === "file" ? await open(logPath, "a", 0o600) : null;
  try {
    const stdio: StdioOptions = log === null ? "inherit" : ["ignore", log.fd, log.fd];
    const child = spawn(file, args, {
      cwd: workload.workingDirectory,
      env: environment,
      // A session of its own: a signal to the agent's group does not reach it, and it outlives the agent. On a terminal it has to stay in
      // the agent's, or it would lose /dev/tty and job control.
      detached: !(config.output === "inherit" && process.stdin.isTTY),
      stdio,
    });
    const exit = exitOf(child);
    // It was executed, whatever this look says; without it the cookie still finds it.
    const root = child.pid === undefined ? null : await identify(child.pid).catch(() => null);
    const since = root?.startTime ?? facts.since;
    return createApplication({ facts: { ...facts, since }, root, exit, environment });
  } finally {
    await log?.close();
  }
}

/** The command behind what gives it the limits and rights that it would have without the agent. Both programs exec it: no process more. */
function wrapped({ newPrivileges }: AgentConfig, command: readonly string[]): readonly string[] {
  const rights = newPrivileges || setpriv === undefined ? [] : [setpriv, "--no-new-privs", "--"];
  const files = softFileLimit();
  const limits = files === null || prlimit === undefined ? [] : [prlimit, `--nofile=${files}:`, "--"];
  return [...limits, ...rights, ...command];
}

/**
 * Node raises its own soft limit of open files to the hard one at its start, and children would inherit that. The parent, which started the
 * agent, still has what was meant; null when nothing was raised or the parent cannot be read.
 */
function softFileLimit(): number | null {
  const limitOf = (who: string): number | null => {
    try {
      const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${who}/limits`, "utf8")) ?? [];
      return soft === undefined ? null : Number(soft);
    } catch {
      return null;
    }
  };
  const meant = limitOf(String(process.ppid));
  const own = limitOf("self");
  return meant === null || own === null || meant >= own ? null : meant;
}

/** By 'exit', not 'close': a grandchild may hold the output open for ever. */
function exitOf(child: ChildProcess): Promise<Exit | null> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) resolve({ code: error.code === "ENOENT" ? 127 : 126, signal: null });
    });
  });
}
