/** A real server under the real agent, `baton-agent run --preset NAME`, each life of the agent with a state directory of its own. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type ProcessIdentity, scanTree } from "@baton/process-tree";
import {
  type AgentStatus,
  type Receipt,
  accepts,
  agentEndpointSchema,
  agentStatusSchema,
  cookieVariable,
  parseAs,
} from "@baton/protocol";
import { readReceipts } from "../containers/receipts.ts";
import { until } from "../containers/until.ts";

const agentMain = fileURLToPath(new URL("../../packages/agent/src/main.ts", import.meta.url));
const isRoot = process.getuid?.() === 0;
/** nobody: servers refuse to be root, and root would write to any directory. */
const serverUser = 65_534;
/** The build machine is slow, and other suites run beside this one. */
export const upMs = 60_000;
/** Above any deadline of a stop. */
const commandMs = 100_000;

/** `command` as the user that servers run as. Its programs exec: no process more. */
export const asServerUser = (command: readonly string[]): readonly string[] =>
  isRoot
    ? ["setpriv", `--reuid=${serverUser}`, `--regid=${serverUser}`, "--clear-groups", "--", ...command]
    : command;

/** For a test that is about the agent's user; others run as one anyway when the tests do. */
export const forOrdinary = {
  skip: !isRoot,
  meta: { needs: { part: "root", reason: "the tests run as an ordinary user" } },
};

export const ownersOf = (pids: readonly number[]): Promise<readonly number[]> =>
  Promise.all(pids.map(async (pid) => (await stat(`/proc/${pid}`)).uid));

export interface AgentLife {
  readonly pid: number;
  /** Of the application's direct child. */
  readonly mainPid: () => Promise<number>;
  /** What agent and application wrote. */
  readonly output: () => string;
  /** By `baton-agent stop --wait`; its receipt. */
  readonly stop: (deadlineMs?: number) => Promise<Receipt>;
  readonly status: () => Promise<AgentStatus>;
  /** What a load balancer sees. */
  readonly isReady: () => Promise<boolean>;
  /** Ends the agent by SIGTERM; its exit status. */
  readonly leave: () => Promise<number | null>;
  readonly members: () => Promise<readonly { readonly pid: number; readonly comm: string }[]>;
}

export interface LifeParams {
  readonly preset: string;
  readonly command: readonly string[];
  /** Of the agent. */
  readonly options?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** The agent, and who tells it to stop, are the server's user too. */
  readonly isOrdinary?: boolean;
}

export async function createPresetBed() {
  const directory = await mkdtemp(join(tmpdir(), "baton-preset-"));
  await chmod(directory, 0o755);
  const data = join(directory, "data");
  await mkdir(data);
  if (isRoot) await chown(data, serverUser, serverUser);
  const environment = { PATH: process.env["PATH"] ?? "", HOME: data, LANG: "C" };
  const run = async (command: readonly string[], more: Readonly<Record<string, string>> = {}) => {
    const [file = "", ...args] = command;
    const options = { env: { ...environment, ...more }, timeout: commandMs, maxBuffer: 1 << 26 };
    return (await promisify(execFile)(file, args, options)).stdout;
  };
  const lives: {
    readonly child: ChildProcess;
    readonly members: () => Promise<readonly ProcessIdentity[]>;
  }[] = [];

  return {
    directory,
    /** Belongs to the server's user. */
    data,
    environment,
    /** The output of a command that ends well; it is given a minute and a half. */
    run,
    async begin(params: LifeParams): Promise<AgentLife> {
      const home = join(directory, `agent-${lives.length + 1}`);
      await mkdir(home);
      const { isOrdinary = false } = params;
      if (isOrdinary && isRoot) await chown(home, serverUser, serverUser);
      const as = (command: readonly string[]): readonly string[] =>
        isOrdinary ? asServerUser(command) : command;
      const stateDirectory = join(home, "state");
      const local = ["--state-directory", stateDirectory];
      const [file = "", ...words] = as([process.execPath]);
      const child = spawn(
        file,
        [
          ...words,
          agentMain,
          "run",
          "--preset",
          params.preset,
          "--listen",
          "127.0.0.1:0",
          ...local,
          ...(params.options ?? []),
          "--",
          ...params.command,
        ],
        { stdio: ["ignore", "pipe", "pipe"], env: { ...environment, ...params.environment } },
      );
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
      child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
      const readState = async (name: string): Promise<unknown> =>
        JSON.parse(await readFile(join(stateDirectory, name), "utf8").catch(() => "null"));
      const runFacts = async () =>
        ((await readState("journal")) as { readonly run: RunInJournal | null } | null)?.run ?? null;
      const members = async () => {
        const facts = await runFacts();
        if (facts === null) return [];
        const { cookie, bootId } = facts;
        const roots = facts.process === null ? [] : [{ ...facts.process, bootId }];
        const scan = await scanTree({
          cookie: { name: cookieVariable, value: cookie },
          roots,
          exclude: [process.pid, child.pid ?? 0],
        });
        return scan.members;
      };
      lives.push({ child, members });
      let url = "";
      await until(
        "the agent is up",
        async () => {
          if (child.exitCode !== null || child.signalCode !== null)
            throw new Error(`the agent ended with ${child.exitCode ?? child.signalCode}: ${output}`);
          const endpoint = await readState("endpoint.json");
          if (!accepts(agentEndpointSchema, endpoint)) return false;
          url = endpoint.url;
          return ((await runFacts())?.process ?? null) !== null;
        },
        upMs,
      );
      return {
        pid: child.pid ?? 0,
        output: () => output,
        mainPid: async () => (await runFacts())?.process?.pid ?? 0,
        async stop(deadlineMs = 60_000) {
          const args = [agentMain, "stop", "--wait", "--deadline-ms", String(deadlineMs), ...local];
          const said = await run(as([process.execPath, ...args])).catch((error: unknown) => {
            const { code, stdout } = error as { readonly code?: unknown; readonly stdout?: string };
            // It is not proven to be gone: the receipt says why.
            if (code === 1 && stdout?.includes("receipt")) return stdout;
            throw error;
          });
          const [, key] = /receipt (\S+)/.exec(said) ?? [];
          const receipt = (await readReceipts(stateDirectory)).find((one) => one.key === key);
          if (receipt === undefined) throw new Error(`there is no receipt: ${said}${output}`);
          return receipt;
        },
        status: async () =>
          parseAs(
            agentStatusSchema,
            JSON.parse(await run(as([process.execPath, agentMain, "status", "--json", ...local]))),
            "the status",
          ),
        isReady: async () => (await fetch(new URL("/readyz", url), { headers: { connection: "close" } })).ok,
        async leave() {
          if (child.exitCode === null && child.signalCode === null) {
            const exited = once(child, "exit");
            child.kill("SIGTERM");
            await exited;
          }
          return child.exitCode;
        },
        members,
      };
    },
    async end(): Promise<void> {
      for (const { child, members } of lives) {
        for (const { pid } of await members().catch(() => [])) kill(pid);
        if (child.exitCode !== null || child.signalCode !== null) continue;
        const exited = once(child, "exit");
        child.kill("SIGKILL");
        await exited;
      }
      await chmod(data, 0o755);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export type PresetBed = Awaited<ReturnType<typeof createPresetBed>>;

interface RunInJournal {
  readonly cookie: string;
  readonly bootId: string;
  readonly process: Omit<ProcessIdentity, "bootId"> | null;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
