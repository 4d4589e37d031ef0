import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(import.meta.resolve("@baton/cli/main"));
const commandMs = 60_000;

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `baton` in a process of its own, which gets nothing of our environment that it reads. */
export async function runCli(
  args: readonly string[],
  { stateDirectory, input = "" }: { readonly stateDirectory: string; readonly input?: string | undefined },
): Promise<Ended> {
  const child = spawn(process.execPath, [cli, ...args], {
    env: { PATH: process.env["PATH"], HOME: "/nowhere", BATON_STATE_DIRECTORY: stateDirectory },
    timeout: commandMs,
    killSignal: "SIGKILL",
  });
  child.stdin.end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { status: child.exitCode, stdout, stderr };
}
