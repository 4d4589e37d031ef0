import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { createInterface } from "node:readline";

const readyTimeoutMs = 60_000;
const stopTimeoutMs = 30_000;

/** A program of the demo; in a group of its own, so that Ctrl-C in the terminal does not reach it before its turn to stop. */
export interface Child {
  readonly process: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** SIGTERM, then SIGKILL when that takes too long. Idempotent. */
  stop(): Promise<void>;
}

export interface StartParams {
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Where its stderr goes, appended. */
  readonly logFile: string;
  /** Told every line of stdout; ready once it answers true. */
  readonly isReady: (line: string) => boolean;
}

/** @throws when it ends before it is ready, or is not ready in a minute. */
export async function startChild({ command, environment, logFile, isReady }: StartParams): Promise<Child> {
  const [file = process.execPath, ...args] = command;
  const log = openSync(logFile, "a");
  const child = spawn(file, args, {
    detached: true,
    stdio: ["ignore", "pipe", log],
    env: { ...process.env, ...environment },
  });
  closeSync(log);
  const ended = once(child, "exit").then(([code, signal]) => ({ code, signal }) as Awaited<Child["ended"]>);
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    if ((await Promise.race([ended, timeout(stopTimeoutMs)])) === null) child.kill("SIGKILL");
    await ended;
  };
  const { promise: ready, resolve } = Promise.withResolvers<"ready">();
  if (child.stdout === null) throw new Error("cannot read what the program prints");
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (isReady(line)) resolve("ready");
  });
  const first = await Promise.race([ready, ended, timeout(readyTimeoutMs)]);
  if (first !== "ready") {
    if (first === null) await stop();
    throw new Error(
      `cannot start ${args[0] ?? file}: it ended or was not ready in time; its log is ${logFile}`,
    );
  }
  return { process: child, ended, stop };
}

async function timeout(ms: number): Promise<null> {
  return new Promise((resolve) => setTimeout(() => resolve(null), ms).unref());
}
