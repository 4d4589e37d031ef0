import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ProcessIdentity, identify } from "@baton/process-tree";
import { type Child, startChild } from "./child.ts";
import { endProcess } from "./end-process.ts";
import { type KeptProgram, keepRunning } from "./keep-running.ts";

const databaseGraceMs = 20_000;

export interface SupervisionParams {
  /** Gets the log. */
  readonly directory: string;
  readonly state: string;
  readonly port: number;
  readonly fault: string | undefined;
  readonly logLevel: string;
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** How long it stays away when it died. */
  readonly pauseMs?: (() => number) | undefined;
}

/** How the next life of an orchestrator comes to be. */
export interface RestartOptions {
  /** The next one has this planted fault, or none. */
  readonly fault?: string | undefined;
  /** In the place of the environment that it had so far. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** It gets SIGKILL, in the place of SIGTERM. */
  readonly isKilled?: boolean | undefined;
  /** Done while none runs. */
  readonly meanwhile?: (() => Promise<void>) | undefined;
}

export interface SupervisedOrchestrator {
  /** How often it died by SIGKILL and was started again. */
  kills(): number;
  pid(): number;
  restart(options: RestartOptions): Promise<void>;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** Keeps the orchestrator running: killed, or ended because its database did, it is started again. */
export async function superviseOrchestrator(params: SupervisionParams): Promise<SupervisedOrchestrator> {
  let kills = 0;
  const keep = (next: SupervisionParams): Promise<KeptProgram> =>
    keepRunning({
      start: () => startOrchestrator(next),
      onEnd(signal) {
        if (signal === "SIGKILL") kills += 1;
      },
      pauseMs: params.pauseMs,
    });
  let given = params.environment;
  let kept = await keep(params);
  const stop = async (isKilled = false): Promise<void> => {
    await kept.stop(isKilled);
    const database = await readDatabase(params.state);
    if (database !== null) await endProcess(database, "SIGINT", databaseGraceMs);
  };
  return {
    kills: () => kills,
    pid: () => kept.pid(),
    async restart({ fault, environment = given, isKilled = false, meanwhile }) {
      await stop(isKilled);
      await rm(join(params.state, "fault-happened"), { force: true });
      await meanwhile?.();
      given = environment;
      kept = await keep({ ...params, fault, environment });
    },
    stop: () => stop(),
  };
}

function startOrchestrator(params: SupervisionParams): Promise<Child> {
  const { directory, state, port, fault, logLevel, environment = {} } = params;
  const program = fileURLToPath(import.meta.resolve("@baton/cli/main"));
  return startChild({
    command: [process.execPath, program, "up", "--state", state, "--listen", `127.0.0.1:${port}`],
    environment: {
      BATON_LOG_LEVEL: logLevel,
      ...environment,
      ...(fault === undefined ? {} : { BATON_FAULT: fault }),
    },
    logFile: join(directory, "orchestrator.log"),
    isReady: () => true,
  });
}

/** The server of its embedded database, null where none lives. An orchestrator that was killed and did not come again left it running. */
export async function readDatabase(state: string): Promise<ProcessIdentity | null> {
  const data = join(state, "postgres", "data");
  const [line = ""] = (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
  const postmaster = line === "" ? null : await identify(Number(line));
  if (postmaster === null) return null;
  const command = await readFile(`/proc/${postmaster.pid}/cmdline`, "utf8").catch(() => "");
  return command.split("\0").includes(data) ? postmaster : null;
}
