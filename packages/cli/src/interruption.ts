import { constants } from "node:os";

/** A person or a supervisor asked the command to end. The reason of the signal that every wait listens to. */
export class Interruption extends Error {
  override readonly name = "Interruption";
  /** Exit status by the shell's convention: 128 + the signal's number. */
  readonly status: number;

  constructor(signal: "SIGINT" | "SIGTERM") {
    super(`interrupted by ${signal}`);
    this.status = 128 + constants.signals[signal];
  }
}
