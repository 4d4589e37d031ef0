import { spawn } from "node:child_process";
import type { Deadline } from "./deadline.ts";

export interface CommandResult {
  readonly result: "done" | "late" | "failed";
  readonly ms: number;
  /** Null when all went well; never holds the environment. */
  readonly detail: string | null;
}

/** As much of a command's last output as is told. */
const tailBytes = 400;

/**
 * Runs one of the hook's commands to its exit, in a group of its own, and never longer than `timeoutMs` or the deadline: then its group is killed.
 * Its output is read and forgotten but for the tail, so that a flood neither blocks it nor fills memory. Never rejects.
 */
export async function runCommand(params: {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string | undefined;
  readonly timeoutMs: number;
  readonly deadline: Deadline;
}): Promise<CommandResult> {
  const { command, environment, workingDirectory, timeoutMs, deadline } = params;
  const [program = "", ...args] = command;
  const startedAt = performance.now();
  const ended = (result: CommandResult["result"], detail: string | null): CommandResult => ({
    result,
    ms: performance.now() - startedAt,
    detail,
  });
  return new Promise((resolve) => {
    let child;
    try {
      child = spawn(program, args, {
        env: environment,
        cwd: workingDirectory,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      });
    } catch {
      // Node's words quote the environment, which holds the application's keys.
      resolve(ended("failed", `"${program}" cannot be executed with this environment`));
      return;
    }
    let tail = Buffer.alloc(0);
    const keep = (chunk: Buffer): void => {
      tail = Buffer.concat([tail, chunk.subarray(-tailBytes)]).subarray(-tailBytes);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    let isLate = false;
    const giveUp = (): void => {
      isLate = true;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // The group is gone: its exit is on its way.
      }
    };
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      clearTimeout(timer);
      const leftMs = Math.min(startedAt + timeoutMs - performance.now(), deadline.leftMs());
      timer = setTimeout(giveUp, Math.max(0, leftMs));
      deadline.moved.addEventListener("abort", arm, { once: true });
    };
    const { moved } = deadline;
    arm();
    const finish = (result: CommandResult["result"], detail: string | null): void => {
      clearTimeout(timer);
      moved.removeEventListener("abort", arm);
      deadline.moved.removeEventListener("abort", arm);
      // A daemon that it left may hold the pipes for ever.
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(ended(result, detail));
    };
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined)
        finish("failed", `"${program}" cannot be executed: ${error.code ?? "unknown reason"}`);
    });
    // By 'exit', not 'close': see above.
    child.once("exit", (code, signal) => {
      const said = tail
        .toString()
        .replace(/[^\x20-\x7e]+/g, " ")
        .trim();
      const words = said === "" ? "" : `: ${said}`;
      if (isLate)
        finish(
          "late",
          `"${program}" did not end in ${Math.round(performance.now() - startedAt)} ms and was killed${words}`,
        );
      else if (code === 0) finish("done", null);
      else finish("failed", `"${program}" ended with ${signal ?? `status ${code}`}${words}`);
    });
  });
}
