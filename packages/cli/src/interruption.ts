import { constants } from "node:os";

/** A person or a supervisor asked the command to end. The reason of the signal that every wait listens to. */
export class Interruption extends Error {
  override readonly name = "Interruption";
  /** Exit status by the shell's convention: 128 + the signal's number. */
  readonly status: number;

  constructor(signal: "SIGINT" | "SIGTERM" | "SIGPIPE") {
    super(`interrupted by ${signal}`);
    this.status = 128 + constants.signals[signal];
  }
}

/**
 * Takes SIGINT and SIGTERM of this process: the first aborts, with an {@link Interruption}; a second one ends the process at once. Output that
 * nobody reads any more, as after `| head`, counts as a first one.
 */
export function interruptOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.on(name, () => {
      const reason = new Interruption(name);
      if (controller.signal.aborted) process.exit(reason.status);
      controller.abort(reason);
    });
  process.stdout.on("error", () => controller.abort(new Interruption("SIGPIPE")));
  return controller.signal;
}
