/** The agent and an application in a PID namespace of their own, on this machine's files and network. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll } from "vitest";
import type { Receipt } from "@baton/protocol";
import { buildAgent } from "./agent-bundle.ts";
import { type PidNamespace, missingPidNamespaces, startPidNamespace } from "./pid-namespace.ts";
import { readReceipts } from "./receipts.ts";
import { until } from "./until.ts";

export interface Supervised {
  /** What is PID 1, and how it ended. */
  readonly namespace: PidNamespace;
  readonly stateDirectory: string;
  /** What agent and application wrote, to either stream. */
  output(): string;
  printed(words: string, times?: number, limitMs?: number): Promise<void>;
  /** `baton-agent stop --wait`. @throws with what it said when it fails */
  stop(...options: readonly string[]): Promise<void>;
  receipts(): Promise<readonly Receipt[]>;
}

export interface SuperviseParams {
  /** Which program is PID 1: tini with the agent below it, or the agent itself. */
  readonly firstProcess: "tini" | "agent";
  /** Of `baton-agent run`. */
  readonly options?: readonly string[];
  readonly command: readonly string[];
}

export const missing = missingPidNamespaces();
export const needs = { part: "PID namespaces", reason: missing ?? "they are there" };

/** Builds the agent before the suite, and ends after each test what it started. */
export function useNamespaces() {
  const open = new Set<PidNamespace>();
  let directory = "";
  let bundle = "";
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "baton-namespace-"));
    bundle = await buildAgent();
  }, 120_000);
  afterEach(async () => {
    await Promise.all([...open].map((namespace) => namespace.remove()));
    open.clear();
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  return async (params: SuperviseParams): Promise<Supervised> => {
    const { firstProcess, options = [], command } = params;
    const stateDirectory = await mkdtemp(join(directory, "state-"));
    const terminationLog = join(stateDirectory, "last-word");
    const own = [
      "--state-directory",
      stateDirectory,
      "--listen",
      "none",
      "--termination-log",
      terminationLog,
    ];
    const agent = [process.execPath, bundle, "run", ...own, ...options, "--", ...command];
    const namespace = await startPidNamespace(
      firstProcess === "tini" ? ["tini", "-s", "--", ...agent] : agent,
    );
    open.add(namespace);
    let output = "";
    for (const stream of [namespace.child.stdout, namespace.child.stderr])
      stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    return {
      namespace,
      stateDirectory,
      output: () => output,
      printed: (words, times = 1, limitMs = 30_000) => {
        const isThere = (): boolean => {
          if (namespace.child.exitCode !== null)
            throw new Error(`all of it ended before "${words}": ${output}`);
          return output.split(words).length > times;
        };
        return until(`${times} times "${words}"`, isThere, limitMs);
      },
      async stop(...options) {
        const args = [bundle, "stop", "--wait", "--state-directory", stateDirectory, ...options];
        await promisify(execFile)(process.execPath, args, { timeout: 120_000 });
      },
      receipts: () => readReceipts(stateDirectory),
    };
  };
}
