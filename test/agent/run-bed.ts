/** The delivered agent in run mode as a process of its own, without a store: what a person gets who puts it before a command. */
import { type ChildProcess, type StdioOptions, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll } from "vitest";
import { type ProcessFact, type TreeScan, scanTree, signalTree } from "@baton/process-tree";
import { type AgentStatus, type Receipt, agentStatusSchema, cookieVariable, parseAs } from "@baton/protocol";
import { readReceipts } from "../containers/receipts.ts";
import { until as ask } from "../containers/until.ts";

/** A busy machine may take its time; only a test that fails waits so long. */
const limitMs = 60_000;
export const until = (what: string, holds: () => boolean | Promise<boolean>): Promise<void> =>
  ask(what, holds, limitMs);

const repository = join(import.meta.dirname, "../..");

export interface RunParams {
  /** Of `baton-agent run`; the state directory and "no API" are said already. */
  readonly options?: readonly string[];
  readonly command: readonly string[];
  /** Default: `run`. */
  readonly mode?: "run" | "attach";
  readonly env?: NodeJS.ProcessEnv;
  readonly stdio?: StdioOptions;
  readonly cwd?: string;
  /** Executes the agent: `["unshare", "-m", "--"]`. Each of them must exec, so that the child is the agent. */
  readonly behind?: readonly string[];
  /** An earlier one's, to live again on. */
  readonly stateDirectory?: string;
  /** Instead of `Node and the bundle`. */
  readonly program?: readonly string[];
}

/** What `baton-agent stop --wait` gets. */
export interface LocalStop {
  readonly key: string | null;
  readonly outcome: string | null;
  readonly evidenceClass: string | null;
  readonly remaining: readonly string[];
}

export interface RunningAgent {
  readonly child: ChildProcess;
  readonly stateDirectory: string;
  /** Both streams, as far as the test left them piped. */
  output(): string;
  printed(words: string, times?: number): Promise<void>;
  /** Until it answers on its local socket. */
  listens(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Its exit status by shell convention. @throws when it does not end in time */
  ended(): Promise<number>;
  /** By the local socket, as a preStop hook does. @throws with the problem that is answered */
  stop(deadlineMs?: number): Promise<LocalStop>;
  status(): Promise<AgentStatus>;
  receipts(): Promise<readonly Receipt[]>;
  /** Every living process of the run, as far as one look shows it. */
  tree(): Promise<readonly ProcessFact[]>;
  /** Whether a settled look shows no process of the run: one that forks all the time is missed by most others. */
  isGone(): Promise<boolean>;
}

/** Builds the agent before the suite; ends after each test what it started. */
export function useRunBed() {
  const open: RunningAgent[] = [];
  let directory = "";
  let bundle = "";
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "baton-run-"));
    // Of its own: other files build what is delivered at the same time.
    bundle = join(directory, "baton-agent.cjs");
    await promisify(execFile)(process.execPath, ["test/gate/bundle-agent.ts", bundle], {
      cwd: repository,
      timeout: 60_000,
    });
    await promisify(execFile)("chmod", ["755", directory]);
  }, 90_000);
  afterEach(async () => {
    await Promise.all(open.splice(0).map((agent) => end(agent)));
  }, 90_000);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  return {
    /** A directory for the suite's own files, which everybody may enter. */
    directory: () => directory,
    bundle: () => bundle,
    async run(params: RunParams): Promise<RunningAgent> {
      const stateDirectory = params.stateDirectory ?? join(await mkdtemp(join(directory, "s-")), "state");
      const agent = launch(params, stateDirectory, params.program ?? [process.execPath, bundle]);
      open.push(agent);
      return agent;
    },
  };
}

export type RunBed = ReturnType<typeof useRunBed>;

function launch(params: RunParams, stateDirectory: string, program: readonly string[]): RunningAgent {
  const { options = [], command, env, stdio = ["ignore", "pipe", "pipe"], cwd, behind = [] } = params;
  const own = [params.mode ?? "run", "--state-directory", stateDirectory, "--listen", "none", ...options];
  const [file = "", ...args] = [
    ...behind,
    ...program,
    ...own,
    ...(command.length > 0 ? ["--", ...command] : []),
  ];
  const child = spawn(file, args, {
    stdio,
    cwd,
    env: { PATH: process.env["PATH"], ...env },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => (output += chunk.toString("latin1")));
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const exit = once(child, "exit");
  exit.catch(() => undefined);
  return {
    child,
    stateDirectory,
    output: () => output,
    printed: (words, times = 1) =>
      until(`${times} times "${words}"`, () => {
        const isThere = output.split(words).length > times;
        if (!isThere && hasEnded()) throw new Error(`the agent ended before "${words}": ${output}`);
        return isThere;
      }),
    listens: () =>
      until("the agent listens", async () => {
        if (hasEnded()) throw new Error(`the agent ended: ${output}`);
        return (await callLocally(stateDirectory, "GET", "/status", 2_000).catch(() => null)) !== null;
      }),
    signal: (signal) => void child.kill(signal),
    async ended() {
      const [code, signal] = await Promise.race([
        exit,
        delay(limitMs, undefined, { ref: false }).then(() => {
          throw new Error(`the agent did not end in ${limitMs} ms: ${output}`);
        }),
      ]);
      if (typeof code === "number") return code;
      return 128 + (constants.signals as Record<string, number>)[String(signal)]!;
    },
    stop(deadlineMs = 20_000) {
      const limit = deadlineMs + 20_000;
      const stopped = callLocally(stateDirectory, "POST", `/stop?deadlineMs=${deadlineMs}`, limit);
      // A test that fails before it waits for this fails for its own reason.
      stopped.catch(() => undefined);
      return stopped as Promise<LocalStop>;
    },
    status: async () =>
      parseAs(agentStatusSchema, await callLocally(stateDirectory, "GET", "/status", 10_000), "the status"),
    receipts: () => readReceipts(stateDirectory),
    tree: async () => (await scanRun(stateDirectory))?.members ?? [],
    async isGone() {
      const scan = await scanRun(stateDirectory);
      return scan === null || (scan.settled && scan.members.length === 0);
    },
  };
}

async function end(agent: RunningAgent): Promise<void> {
  const { child } = agent;
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    child.kill("SIGKILL");
    await agent.ended();
  }
  // Until nobody is left: some tests are about processes that make others.
  await until("the application is gone", async () => {
    await signalTree(await agent.tree(), "SIGKILL").catch(() => undefined);
    return agent.isGone();
  });
}

/** Null when nothing was started: some tests break the file, too. */
async function scanRun(stateDirectory: string): Promise<TreeScan | null> {
  const journal = await readFile(join(stateDirectory, "journal"), "utf8").catch(() => null);
  const value = /"run":\{.*?"cookie":"([^"]+)"/.exec(journal ?? "")?.[1];
  if (value === undefined) return null;
  return scanTree({ cookie: { name: cookieVariable, value }, roots: [], exclude: [process.pid] });
}

async function callLocally(
  stateDirectory: string,
  method: "GET" | "POST",
  path: string,
  timeoutMs: number,
): Promise<unknown> {
  const socketPath = join(stateDirectory, "agent.sock");
  const text = await new Promise<string>((resolve, reject) => {
    const call = request({ socketPath, method, path, agent: false, timeout: timeoutMs }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (body += chunk));
      response.on("end", () =>
        response.statusCode === 200 ? resolve(body) : reject(new Error(`${response.statusCode} ${body}`)),
      );
      response.on("error", reject);
    });
    call.on("timeout", () => call.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    call.on("error", reject);
    call.end();
  });
  return JSON.parse(text);
}

/** Works off `script` in a shell, and stays until a signal: `trap` says what it does then. */
export const shell = (script: string): readonly string[] => ["sh", "-c", script];

/** For the end of a script: says "ready" and waits, so that traps are taken at once. */
export const readyAndWait = "echo ready; while :; do sleep 600 & wait; done";
