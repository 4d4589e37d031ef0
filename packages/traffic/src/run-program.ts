import { spawn } from "node:child_process";

export interface ProgramEnd {
  /** Null: killed, or never begun. */
  readonly status: number | null;
  /** How it ended, in words, with the last of what it said. */
  readonly words: string;
  readonly output: string;
}

/** As much of its last output as is kept. */
const tailBytes = 400;
const lastWordsMs = 200;

/** Without a shell, in a process group of its own, which is killed when `signal` aborts. Never rejects. */
export function runProgram(params: {
  readonly command: readonly string[];
  /** All of it: ours has secrets. */
  readonly environment: Readonly<Record<string, string>>;
  readonly input: string;
  readonly signal: AbortSignal;
}): Promise<ProgramEnd> {
  const { command, environment, input, signal } = params;
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    if (signal.aborted) return resolve({ status: null, words: "was not begun", output: "" });
    const child = tryToSpawn(program, args, environment);
    if (typeof child === "string") return resolve({ status: null, words: notExecutable(child), output: "" });
    let tail = Buffer.alloc(0);
    const keep = (chunk: Buffer): void => {
      tail = Buffer.concat([tail, chunk.subarray(-tailBytes)]).subarray(-tailBytes);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    // Nobody has to read it.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // The group is gone: its exit is on its way.
      }
    };
    signal.addEventListener("abort", kill, { once: true });
    const finish = (status: number | null, how: string): void => {
      signal.removeEventListener("abort", kill);
      child.stdout.destroy();
      child.stderr.destroy();
      const output = tail
        .toString()
        .replace(/[^\x20-\x7e]+/g, " ")
        .trim();
      resolve({ status, words: output === "" ? how : `${how}: ${output}`, output });
    };
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) finish(null, notExecutable(error.code));
    });
    child.once("exit", (code, by) => {
      const end = (): void => {
        clearTimeout(timer);
        finish(code, `ended with ${by ?? `status ${code}`}`);
      };
      // What it said is still on its way; a daemon that it left may hold the pipes for ever.
      const timer = setTimeout(end, lastWordsMs);
      child.once("close", end);
    });
  });
}

const notExecutable = (code = "unknown reason"): string => `cannot be executed (${code})`;

/** @returns why not, where Node throws that instead of telling it by an event */
function tryToSpawn(program: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  try {
    return spawn(program, args, { env, detached: true });
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
  }
}
