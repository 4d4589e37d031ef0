/** The real agent in run mode, told by nothing but what a Krake injects, beside a Krake of `krake.ts`. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type Server, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { scanTree } from "@baton/process-tree";
import { type Receipt, cookieVariable } from "@baton/protocol";
import { afterAll, afterEach, beforeAll } from "vitest";
import { readReceipts } from "../containers/receipts.ts";
import { type Krake, type KrakeOptions, createKrake } from "./krake.ts";

const repository = join(import.meta.dirname, "../..");
const application = join(repository, "packages/agent/src/fixtures/application.ts");

export interface AgentBedOptions {
  /** What the agent's process is given; the application gets the rest of the test's environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** What is delivered: one file. */
  readonly bundle: string;
  /** BEHAVIOUR of the application, `graceful` unless given. */
  readonly behaviour?: string;
  readonly stopMs?: number;
  readonly hook?: Readonly<Record<string, unknown>>;
  readonly krake?: Readonly<Record<string, unknown>>;
  /** Of the agent's configuration. */
  readonly agent?: Readonly<Record<string, unknown>>;
}

interface Journal {
  readonly run: { readonly cookie: string; readonly end: unknown } | null;
  readonly krake: { readonly state: string } | null;
}

export type AgentBed = Awaited<ReturnType<typeof createAgentBed>>;

export interface Deployment {
  readonly krake: Krake;
  readonly agent: AgentBed;
  /** The order of a controller that waits for the confirmation. */
  readonly order: () => ReturnType<Krake["command"]>;
  /** Until the agent has it on record that Krake took its confirmation, or what else came of it. */
  readonly recorded: (state: "pending" | "confirmed" | "refused" | "withheld") => Promise<void>;
}

/** Builds the agent before the suite; ends after each test what it deployed. */
export function useKrakeBed() {
  const open: { close(): Promise<void> }[] = [];
  let directory = "";
  let bundle = "";
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "baton-krake-bundle-"));
    // Of its own: other files build what is delivered at the same time.
    bundle = join(directory, "baton-agent.cjs");
    await promisify(execFile)(process.execPath, ["test/gate/bundle-agent.ts", bundle], {
      cwd: repository,
      timeout: 60_000,
    });
  }, 90_000);
  afterEach(async () => {
    for (const part of open.splice(0)) await part.close();
  }, 30_000);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  return {
    /** An application that a Krake deployed with its hook, up and running. */
    deploy: async (
      options: Partial<Omit<AgentBedOptions, "bundle" | "environment">> & {
        /** Instead of what Krake injects by default. */
        readonly variables?: (krake: Krake) => Readonly<Record<string, string>>;
        /** Mounts files, and gives what of the configuration names them. */
        readonly injects?: (krake: Krake, directory: string) => Promise<Readonly<Record<string, unknown>>>;
      } = {},
      krakeOptions: KrakeOptions = {},
    ): Promise<Deployment> => {
      const krake = await createKrake(krakeOptions);
      open.push(krake);
      const mounted = (await options.injects?.(krake, directory)) ?? {};
      const agent = await createAgentBed({
        ...options,
        environment: options.variables?.(krake) ?? krake.environment,
        bundle,
        krake: { ...options.krake, ...mounted },
      });
      open.unshift(agent);
      return {
        krake,
        agent,
        order() {
          krake.state = "WAITING_FOR_CLEANING";
          return krake.command(agent.address);
        },
        recorded: (state) =>
          agent.until(`${state} is on record`, () => agent.journal()?.krake?.state === state),
      };
    },
  };
}

/** Starts the agent, and waits until application and agent serve. */
export async function createAgentBed(options: AgentBedOptions) {
  const directory = await mkdtemp(join(tmpdir(), "baton-krake-"));
  const stateDirectory = join(directory, "state");
  const [krakePort, applicationPort] = await Promise.all([freePort(), freePort()]);
  const { behaviour = "graceful", stopMs = 20, hook, krake } = options;
  const configPath = join(directory, "agent.json");
  await writeFile(
    configPath,
    JSON.stringify({
      stateDirectory,
      listen: null,
      applicationPort,
      readiness: { path: "/health", timeoutMs: 20_000 },
      hook: { graceMs: 10_000, ...hook },
      afterExit: "exit",
      terminationLog: null,
      ...options.agent,
      krake: { listen: { host: "127.0.0.1", port: krakePort }, certificateDirectories: [], ...krake },
    }),
  );
  let child: ChildProcess | null = null;
  let output = "";

  const journal = (): Journal | null => {
    try {
      return JSON.parse(readFileSync(join(stateDirectory, "journal"), "utf8")) as Journal;
    } catch {
      return null;
    }
  };
  const bed = {
    directory,
    /** Of `PUT /shutdown`. */
    address: `127.0.0.1:${krakePort}`,
    applicationUrl: `http://127.0.0.1:${applicationPort}`,
    /** All that the agent's lives printed. */
    output: () => output,
    journal,
    receipts: (): Promise<readonly Receipt[]> => readReceipts(stateDirectory),
    get child(): ChildProcess {
      if (child === null) throw new Error("no agent was started");
      return child;
    },
    get isUp(): boolean {
      return child !== null && child.exitCode === null && child.signalCode === null;
    },
    /** The next life of the agent; resolves once it listens for Krake. */
    async begin(): Promise<void> {
      const { HOME = "/", PATH = "" } = process.env;
      const before = output.length;
      const args = [options.bundle, "run", "--config", configPath, "--", process.execPath, application];
      const started = spawn(process.execPath, args, {
        env: { HOME, PATH, BEHAVIOUR: behaviour, STOP_MS: String(stopMs), ...options.environment },
        stdio: ["ignore", "pipe", "pipe"],
      });
      child = started;
      for (const stream of [started.stdout, started.stderr])
        stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
      await bed.until("the agent listens for Krake", () => {
        if (!bed.isUp) throw new Error(`the agent ended: ${output}`);
        return output.slice(before).includes("PUT /shutdown is listened for");
      });
    },
    async ready(): Promise<void> {
      await bed.until(
        "the application serves",
        () => journal()?.run !== null && servesAt(bed.applicationUrl),
      );
    },
    /** Sends the agent a signal, and gives its exit status once it ended. */
    async end(signal: NodeJS.Signals): Promise<number | null> {
      const exited = once(bed.child, "exit");
      bed.child.kill(signal);
      await exited;
      return bed.child.exitCode;
    },
    /** Every living process of the last run. */
    async processes() {
      const value = journal()?.run?.cookie;
      if (value === undefined) return [];
      return (await scanTree({ cookie: { name: cookieVariable, value }, roots: [], exclude: [process.pid] }))
        .members;
    },
    async until(
      what: string,
      holds: () => boolean | Promise<boolean | undefined>,
      limitMs = 20_000,
    ): Promise<void> {
      for (const endAt = performance.now() + limitMs; !(await holds());) {
        if (performance.now() > endAt) throw new Error(`did not happen in ${limitMs} ms: ${what}\n${output}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async close(): Promise<void> {
      if (bed.isUp) await bed.end("SIGKILL");
      for (const { pid } of await bed.processes().catch(() => [])) process.kill(pid, "SIGKILL");
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    await bed.begin();
    await bed.ready();
  } catch (error) {
    await bed.close();
    throw error;
  }
  return bed;
}

async function servesAt(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
