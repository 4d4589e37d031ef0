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
}

export interface SupervisedOrchestrator {
  /** How often it died by SIGKILL and was started again. */
  kills(): number;
  /** Stops it in order and starts it with another planted fault, or with none. */
  restart(fault: string | undefined): Promise<void>;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** Keeps the orchestrator running as a service manager would: killed, it is started again; any other end is final. */
export async function superviseOrchestrator(params: SupervisionParams): Promise<SupervisedOrchestrator> {
  let kills = 0;
  const onKill = () => {
    kills += 1;
  };
  let supervision = await supervise(params, onKill);
  return {
    kills: () => kills,
    async restart(fault) {
      await supervision.stop();
      await rm(join(params.state, "fault-happened"), { force: true });
      supervision = await supervise({ ...params, fault }, onKill);
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
    async stop() {
      stopping = true;
      await child.stop();
      // It may have been killed a moment ago: then the next one is just starting.
      await running;
      await child.stop();
      await endDatabase(join(params.state, "postgres", "data"));
    },
  };
}

function startOrchestrator({ directory, state, port, fault, logLevel }: SupervisionParams): Promise<Child> {
  const program = fileURLToPath(import.meta.resolve("@baton/cli/main"));
  return startChild({
    command: [process.execPath, program, "up", "--state", state, "--listen", `127.0.0.1:${port}`],
    environment: { BATON_LOG_LEVEL: logLevel, ...(fault === undefined ? {} : { BATON_FAULT: fault }) },
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
