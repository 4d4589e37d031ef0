import { spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { type ProcessIdentity, hasNoNewPrivileges, identify, signalProcess } from "@baton/process-tree";
import { livingOf, prepareSpawn, recordSpawned } from "./agent-record.ts";
import { type Deadline, pollUntil } from "../deadline.ts";
import { findExecutable } from "./executable.ts";
import type { PlacementPaths } from "./placement-directory.ts";

export interface SpawnedAgent {
  /** Null when it ended before it could be identified. */
  readonly identity: ProcessIdentity | null;
  /** Null while it runs; in words: "exit status 1", "signal SIGKILL". */
  ended(): { readonly how: string; readonly at: number } | null;
}

/** Starts an agent that outlives this process: its own session, its output in a file. Returns once it is executed and recorded. */
export async function spawnAgent(
  paths: PlacementPaths,
  agentCommand: readonly string[],
  deadline: Deadline,
): Promise<SpawnedAgent> {
  const setpriv = await setprivFor(process.getuid?.());
  const command = [...(setpriv ?? []), ...agentCommand, "run", "--config", paths.config];
  const record = await prepareSpawn(paths, setpriv !== null || (await hasNoNewPrivileges("self")));
  const log = await open(paths.log, "a", 0o600);
  try {
    deadline.signal.throwIfAborted();
    const child = spawn(command[0] ?? "", command.slice(1), {
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
      cwd: paths.root,
      env: agentEnvironment(process.env),
    });
    let ended: { how: string; at: number } | null = null;
    child.once("exit", (code, signal) => {
      const how = signal === null ? `exit status ${code}` : `signal ${signal}`;
      ended = { how, at: performance.now() };
    });
    await new Promise((started, failed) => child.once("spawn", started).once("error", failed));
    child.unref();
    const identity = await identify(child.pid ?? 0);
    if (identity !== null) await recordSpawned(paths, record, identity);
    return { identity, ended: () => ended };
  } finally {
    await log.close();
  }
}

/**
 * What to put before the agent's command so that nothing it starts can become another user: then a process of another user,
 * whose environment the witness may not read, is provably foreign. Null for root, who reads everything, and without setpriv.
 */
async function setprivFor(uid: number | undefined): Promise<readonly string[] | null> {
  if (uid === 0) return null;
  const path = await findExecutable("setpriv");
  return path === null ? null : [path, "--no-new-privs"];
}

/** Nothing of the orchestrator's environment (database, tokens) but what every program needs. */
function agentEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names = ["PATH", "HOME", "LANG", "TMPDIR"];
  return Object.fromEntries(
    names.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])),
  );
}

/**
 * Ends these very processes: SIGTERM, up to 10 s (half of the time, if that is less), SIGKILL. Returns when all are dead.
 * @throws the deadline's reason, or EPERM when one of them may not be signalled
 */
export async function endAgents(agents: readonly ProcessIdentity[], deadline: Deadline): Promise<void> {
  const killAt = performance.now() + Math.min(10_000, deadline.remainingMs() / 2);
  for (const agent of agents) await signalProcess(agent, "SIGTERM");
  let isKilled = false;
  await pollUntil(deadline.signal, async () => {
    const living = await livingOf(agents);
    if (living.length === 0) return true;
    if (!isKilled && performance.now() >= killAt) {
      isKilled = true;
      for (const agent of living) await signalProcess(agent, "SIGKILL");
    }
    return undefined;
  });
}
