import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { open } from "node:fs/promises";
import { hasNoNewPrivileges, identify } from "@baton/process-tree";
import { type AgentConfig, cookieVariable } from "@baton/protocol";
import { type Application, type Exit, createApplication } from "./application.ts";
import type { RunFacts } from "./facts.ts";

/** Of the agent's own environment only these reach the application. */
const inherited = ["PATH", "HOME", "LANG", "TMPDIR"];

const setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].find((path) => existsSync(path));

/**
 * Whether no process of a run can change its user by a setuid file, so that other users' processes, which an ordinary user cannot look into,
 * are certainly not of the run. The agent arranges it where `setpriv` (util-linux) is installed.
 */
export const withholdsPrivileges = async (): Promise<boolean> =>
  setpriv !== undefined || (await hasNoNewPrivileges("self"));

/** What the application is told. Data keys come in `secrets`; the agent's own never do. */
function applicationEnvironment(
  config: AgentConfig,
  facts: RunFacts,
  secrets: Readonly<Record<string, string>>,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of inherited) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return {
    ...environment,
    ...config.workload.environment,
    ...secrets,
    BATON_PLACEMENT: config.placement,
    BATON_APPLICATION: config.application,
    BATON_EPOCH: String(facts.epoch),
    BATON_BUCKET: config.storage.bucket,
    BATON_PREFIX: config.storage.prefix,
    AWS_ENDPOINT_URL_S3: config.storage.endpoint,
    AWS_REGION: config.storage.region,
    PORT: String(config.applicationPort),
    [cookieVariable]: facts.cookie,
  };
}

export interface ExecuteParams {
  readonly config: AgentConfig;
  readonly facts: RunFacts;
  readonly secrets: Readonly<Record<string, string>>;
  /** Gets the application's output, appended. */
  readonly logPath: string;
}

/**
 * Executes the workload in a session of its own. A command that cannot be executed gives an application that exited with 126 or 127.
 *
 * @throws only when nothing was executed; the message may hold secrets
 */
export async function executeApplication({
  config,
  facts,
  secrets,
  logPath,
}: ExecuteParams): Promise<Application> {
  const [program = "", ...rest] = config.workload.command;
  const [file, args] =
    setpriv === undefined ? [program, rest] : [setpriv, ["--no-new-privs", "--", program, ...rest]];
  const log = await open(logPath, "a", 0o600);
  try {
    const child = spawn(file, args, {
      cwd: config.workload.workingDirectory,
      env: applicationEnvironment(config, facts, secrets),
      // A session of its own: a signal to the agent's group does not reach it, and it outlives the agent.
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
    });
    const exit = exitOf(child);
    // It was executed, whatever this look says; without it the cookie still finds it.
    const root = child.pid === undefined ? null : await identify(child.pid).catch(() => null);
    const since = root?.startTime ?? facts.since;
    return createApplication({ facts: { ...facts, since }, root, exit });
  } finally {
    await log.close();
  }
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
