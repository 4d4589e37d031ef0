import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { identify } from "@baton/process-tree";
import { type Child, startChild } from "./child.ts";
import { endProcess } from "./end-process.ts";

const restarts = 5;
const databaseGraceMs = 20_000;

export interface SupervisionParams {
  /** Gets the log. */
  readonly directory: string;
  readonly state: string;
  readonly port: number;
  readonly fault: string | undefined;
  readonly logLevel: string;
  readonly environment?: Readonly<Record<string, string>> | undefined;
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

/** Keeps the orchestrator running as a service manager would: killed, it is started again; any other end is final. */
export async function superviseOrchestrator(params: SupervisionParams): Promise<SupervisedOrchestrator> {
  let kills = 0;
  const onKill = () => {
    kills += 1;
  };
  let given = params.environment;
  let supervision = await supervise(params, onKill);
  return {
    kills: () => kills,
    pid: () => supervision.pid(),
    async restart({ fault, environment = given, isKilled = false, meanwhile }) {
      await supervision.stop(isKilled);
      await rm(join(params.state, "fault-happened"), { force: true });
      await meanwhile?.();
      given = environment;
      supervision = await supervise({ ...params, fault, environment }, onKill);
    },
    stop: () => supervision.stop(),
  };
}

async function supervise(params: SupervisionParams, onKill: () => void) {
  let stopping = false;
  let child = await startOrchestrator(params);
  const keepRunning = async (): Promise<void> => {
    for (let left = restarts; left > 0 && !stopping; left -= 1) {
      const { signal } = await child.ended;
      if (stopping || signal !== "SIGKILL") return;
      onKill();
      child = await startOrchestrator(params);
    }
  };
  // One that cannot be started again is missed by its clients, who say so.
  const running = keepRunning().catch(() => undefined);
  return {
    pid: () => child.process.pid ?? 0,
    async stop(isKilled = false) {
      stopping = true;
      if (isKilled) child.process.kill("SIGKILL");
      await child.stop();
      // It may have been killed a moment ago: then the next one is just starting.
      await running;
      await child.stop();
      await endDatabase(join(params.state, "postgres", "data"));
    },
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

/** An orchestrator ends its database; one that was killed and did not come again left it running. */
async function endDatabase(data: string): Promise<void> {
  const [line = ""] = (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
  const postmaster = line === "" ? null : await identify(Number(line));
  if (postmaster === null) return;
  const command = await readFile(`/proc/${postmaster.pid}/cmdline`, "utf8").catch(() => "");
  if (command.split("\0").includes(data)) await endProcess(postmaster, "SIGINT", databaseGraceMs);
}
