import { inspect } from "node:util";
import { AppError, isAppError, toProblem } from "@baton/protocol";
import { type Command, CommanderError } from "commander";
import type { CommandContext } from "./commands/session.ts";
import { Interruption } from "./interruption.ts";
import { createProgram } from "./program.ts";
import { oneLine } from "./view/text.ts";

const usageStatus = 2;
const failureStatus = 1;

/** Runs one command line. Never throws: an error is one line on stderr. @returns the exit status. */
export async function runBaton(args: readonly string[], context: CommandContext): Promise<number> {
  let status = 0;
  const program = createProgram(context, (ended) => {
    status = ended;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return report(error, program, context);
  }
}

function report(error: unknown, program: Command, { stderr, configure }: CommandContext): number {
  const known = describe(error);
  const json = program.opts()["output"] === "json";
  stderr.write(json ? `${JSON.stringify(toProblem(known))}\n` : `baton: ${oneLine(known.message)}\n`);
  if (isDebugging(configure)) stderr.write(`${inspect(error)}\n`);
  if (error instanceof Interruption) return error.status;
  return error instanceof CommanderError ? usageStatus : failureStatus;
}

function describe(error: unknown): AppError {
  if (isAppError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Interruption) return new AppError("internal", message, { cause: error });
  if (error instanceof CommanderError)
    // Without a command commander has only its help to say.
    return new AppError(
      "invalid-request",
      error.code === "commander.help"
        ? "no command is given; see `baton --help`"
        : message.replace(/^error: /, ""),
    );
  return new AppError("internal", `unexpected: ${message}; BATON_LOG_LEVEL=debug shows where`, {
    cause: error,
  });
}

function isDebugging(configure: CommandContext["configure"]): boolean {
  try {
    return configure().logLevel === "debug";
  } catch {
    // The configuration itself may be what is wrong.
    return false;
  }
}
