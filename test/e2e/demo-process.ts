import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Verdict } from "@baton/example-ledger/demo";
import { signalProcess } from "@baton/process-tree";
import { belongingsOf } from "./left-behind.ts";

const demo = fileURLToPath(import.meta.resolve("@baton/example-ledger/demo/main"));
const runMs = 90_000;

export interface DemoProcess {
  /** The only place for its temporary files; its path is in the environment of whatever it starts. */
  readonly directory: string;
  /** Its exit status, at the moment when it is gone. */
  readonly exited: Promise<number>;
  /** Resolves when it printed a line that contains `words`. @throws when it ends, or a minute and a half pass, before. */
  printed(words: string): Promise<void>;
  /** To the whole process group, as a terminal does. */
  signal(signal: NodeJS.Signals): void;
  /** @throws when it does not end in a minute and a half. */
  ended(): Promise<{ readonly status: number; readonly output: string; readonly errors: string }>;
  /** Kills whatever is left of it, then removes the directory. */
  remove(): Promise<void>;
}

/** Runs the demo in a process group of its own. */
export async function startDemo(
  args: readonly string[],
  command: readonly string[] = [process.execPath, demo],
): Promise<DemoProcess> {
  const directory = await mkdtemp(join(tmpdir(), "baton-e2e-"));
  // The database's user must be able to enter when all of this runs as root.
  await chmod(directory, 0o711);
  const child = spawn(command[0] ?? "", [...command.slice(1), ...args], {
    detached: true,
    env: { ...process.env, TMPDIR: directory },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let seen = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
    });
  const exited = once(child, "exit").then(([code, name]) =>
    statusOf(code as number | null, name as NodeJS.Signals | null),
  );
  const all = Promise.all([text(child.stdout), text(child.stderr), exited]);
  const signal = (name: NodeJS.Signals): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, name);
  };
  return {
    directory,
    exited,
    signal,
    async printed(words) {
      for (const deadline = performance.now() + runMs; !seen.includes(words); await delay(5)) {
        if (child.exitCode !== null || performance.now() > deadline)
          throw new Error(`the demo did not say "${words}", it said: ${seen}`);
      }
    },
    async ended() {
      const limit = setTimeout(() => signal("SIGKILL"), runMs);
      const [output, errors, status] = await all;
      clearTimeout(limit);
      return { status, output, errors };
    },
    async remove() {
      signal("SIGKILL");
      await all;
      // Its programs are in groups of their own.
      for (const left of (await belongingsOf(directory)).processes) await signalProcess(left, "SIGKILL");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** As a shell would tell it: npm ends itself by the signal that it was interrupted with. */
const statusOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? 128 + (signal === null ? 0 : constants.signals[signal]);

/** The last line of `--json`. */
export const verdictOf = (output: string): Verdict =>
  JSON.parse(output.trim().split("\n").at(-1) ?? "") as Verdict;
