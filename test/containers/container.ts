import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { readReceipts } from "./receipts.ts";
import type { Receipt } from "@baton/protocol";
import type { Execution, Podman } from "./podman.ts";

const pollMs = 20;

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** A container that was started; it may have ended since. */
export interface Container {
  readonly id: string;
  /** What it has at /var/lib/baton, as this machine sees it. */
  readonly stateDirectory: string;
  /** Its first process, as this machine counts. @throws when it does not run */
  pid(): Promise<number>;
  isRunning(): Promise<boolean>;
  /** Runs a command in it, to its end. */
  exec(command: readonly string[], options?: { readonly user?: string }): Promise<Execution>;
  /** Starts a command in it and does not wait for its end. */
  execInBackground(command: readonly string[]): Promise<void>;
  /** To its first process, as `docker kill` does: "TERM", "RTMIN+3". */
  signal(name: string): Promise<void>;
  /** SIGTERM, and SIGKILL after the grace, as `docker stop` does. Resolves at the end of the container. */
  stop(graceSeconds: number): Promise<void>;
  /** Starts it again after its end. */
  start(): Promise<void>;
  /** Its exit status. @throws when it does not end in time */
  ended(limitMs?: number): Promise<number>;
  /** What it wrote so far, in all its lives. */
  output(): Promise<Output>;
  /** Resolves when it wrote these words `times` times. @throws when that does not happen in time */
  printed(words: string, times?: number): Promise<void>;
  /** Resolves when application and agent both say that they are there: the application does not wait for the agent's API. */
  begun(): Promise<void>;
  /** Of its state directory, verified by the agent's key, the oldest first. */
  receipts(): Promise<readonly Receipt[]>;
}

export function openContainer(podman: Podman, id: string, stateDirectory: string): Container {
  const inspect = (format: string): Promise<string> => podman.read(["inspect", "--format", format, id]);
  let logFile: string | null = null;
  const container: Container = {
    id,
    stateDirectory,
    async pid() {
      const pid = Number(await inspect("{{.State.Pid}}"));
      if (pid === 0) throw new Error("the container does not run");
      return pid;
    },
    isRunning: async () => (await inspect("{{.State.Running}}")) === "true",
    exec: (command, { user } = {}) =>
      podman.execute(["exec", ...(user === undefined ? [] : ["--user", user]), id, ...command]),
    async execInBackground(command) {
      await podman.read(["exec", "--detach", id, ...command]);
    },
    async signal(name) {
      await podman.read(["kill", "--signal", name, id]);
    },
    async stop(graceSeconds) {
      await podman.read(["stop", "--time", String(graceSeconds), id], {
        timeoutMs: graceSeconds * 1_000 + 30_000,
      });
    },
    async start() {
      await podman.read(["start", id]);
    },
    ended: async (limitMs = 30_000) => Number(await podman.read(["wait", id], { timeoutMs: limitMs })),
    async output() {
      logFile ??= await inspect("{{.HostConfig.LogConfig.Path}}");
      return parseLog(await readFile(logFile, "utf8"));
    },
    async printed(words, times = 1) {
      for (const endAt = performance.now() + 30_000; ; await delay(pollMs)) {
        const { stdout, stderr } = await container.output();
        if (`${stdout}${stderr}`.split(words).length > times) return;
        if (performance.now() > endAt) throw new Error(`did not write "${words}", but: ${stdout}${stderr}`);
      }
    },
    async begun() {
      await Promise.all([container.printed("ready"), container.printed("the agent listens")]);
    },
    receipts: () => readReceipts(stateDirectory),
  };
  return container;
}

/** Lines of "<time> <stream> <P for a part of a line, F for its end> <content>". */
function parseLog(content: string): Output {
  const output = { stdout: "", stderr: "" };
  for (const [, stream, tag, text = ""] of content.matchAll(/^\S+ (stdout|stderr) ([PF]) (.*)$/gm))
    output[stream as "stdout" | "stderr"] += tag === "F" ? `${text}\n` : text;
  return output;
}
