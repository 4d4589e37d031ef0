import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { AppError } from "@baton/protocol";

export interface RunLimit {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ProgramRun extends RunLimit {
  /** What is done, for errors: "make a snapshot of the volume data". */
  readonly what: string;
  readonly command: readonly [string, ...string[]];
  /** The whole of it: nothing of ours is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory?: string | undefined;
  /** Called for each line of the output; what it throws ends the program and is thrown. */
  readonly onLine?: ((line: string) => void) | undefined;
  /** Called once the program runs, with what ends when it does. */
  readonly onStart?: ((pid: number, ended: AbortSignal) => void) | undefined;
}

export interface ProgramEnd {
  readonly status: number;
  /** The last lines of stderr. */
  readonly errors: readonly string[];
}

/** After SIGINT, for which restic takes back its lock. */
const graceMs = 3000;
const errorLines = 200;
const longestLine = 4096;

/**
 * Runs a program to its end, in a process group of its own. Past its deadline or at the signal the group is asked to end, and is killed if it
 * does not.
 * @throws AppError `copier-unfit` (there is no such program), `copier-failed` (a signal that was not ours ended it), `deadline-exceeded`; the signal's reason
 */
export async function runProgram(run: ProgramRun): Promise<ProgramEnd> {
  const { what, command, signal } = run;
  signal?.throwIfAborted();
  const [program, ...args] = command;
  const child = spawn(program, args, {
    env: run.environment,
    cwd: run.workingDirectory ?? "/",
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new AbortController();
  const exit = new Promise<{ code: number | null; by: NodeJS.Signals | null }>((resolve, reject) => {
    child.once("close", (code, by) => resolve({ code, by }));
    child.once("error", (cause: NodeJS.ErrnoException) =>
      reject(
        new AppError(
          "copier-unfit",
          `cannot ${what}: "${program}" cannot be executed (${cause.code ?? "unknown reason"}); install it, or say where it is`,
        ),
      ),
    );
  });
  let failure: unknown;
  const end = (why: unknown): void => {
    if (failure !== undefined) return;
    failure = why;
    endGroup(child, ended.signal);
  };
  const late = setTimeout(() => {
    end(
      new AppError(
        "deadline-exceeded",
        `cannot ${what}: "${program}" did not end in ${run.deadlineMs} ms; allow more time, or find out what holds it up`,
      ),
    );
  }, run.deadlineMs);
  const onAbort = (): void => end(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });

  const errors: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    errors.push(line.slice(0, longestLine));
    if (errors.length > errorLines) errors.shift();
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    try {
      if (failure === undefined) run.onLine?.(line);
    } catch (error) {
      end(error);
    }
  });
  try {
    if (child.pid !== undefined) run.onStart?.(child.pid, ended.signal);
    const { code, by } = await exit;
    if (failure !== undefined) throw failure;
    if (code === null)
      throw new AppError(
        "copier-failed",
        `cannot ${what}: "${program}" was ended by ${by ?? "a signal"}; do it again`,
      );
    return { status: code, errors };
  } finally {
    clearTimeout(late);
    signal?.removeEventListener("abort", onAbort);
    ended.abort();
  }
}

function endGroup(child: ChildProcess, ended: AbortSignal): void {
  signalGroup(child, "SIGINT");
  const timer = setTimeout(() => signalGroup(child, "SIGKILL"), graceMs);
  ended.addEventListener("abort", () => clearTimeout(timer), { once: true });
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // The group is gone: its end is on its way.
  }
}
