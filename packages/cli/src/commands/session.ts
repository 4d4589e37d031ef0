import type { OrchestratorConfig, RunningOrchestrator } from "@baton/orchestrator";
import type { BatonClient } from "../client.ts";
import type { Configuration } from "../configuration.ts";
import { connect } from "../connection.ts";
import type { ViewStream } from "../view/operation-view.ts";

/** What a command gets from the process it runs in. */
export interface CommandContext {
  /** Reads the environment. @throws AppError `invalid-configuration`. */
  readonly configure: () => Configuration;
  readonly stdout: ViewStream & { readonly isTTY?: boolean | undefined };
  readonly stderr: Pick<ViewStream, "write">;
  /** All of standard input. */
  readonly readInput: () => Promise<string>;
  /** Aborted with an `Interruption`. */
  readonly signal: AbortSignal;
  readonly startOrchestrator: (config: OrchestratorConfig) => Promise<RunningOrchestrator>;
  /** The agent of this installation. */
  readonly agentCommand: () => readonly string[];
}

export interface GlobalOptions {
  readonly output: "text" | "json";
  readonly url?: string;
  readonly caFile?: string;
  readonly tokenFile?: string;
}

/** A command's way to the orchestrator and to the person who gave it. */
export interface Session {
  readonly client: BatonClient;
  readonly json: boolean;
  readonly interactive: boolean;
  readonly context: CommandContext;
  /** Prints a record: as one line of JSON, or as the lines of text. */
  readonly print: (record: unknown, lines: () => readonly string[]) => void;
}

export async function openSession(context: CommandContext, options: GlobalOptions): Promise<Session> {
  const { stateDirectory, url, caFile, tokenFile, token, terminalMoves } = context.configure();
  const json = options.output === "json";
  return {
    client: await connect({ stateDirectory, url, caFile, tokenFile, token, ...options }),
    json,
    interactive: context.stdout.isTTY === true && terminalMoves,
    context,
    print(record, lines) {
      for (const line of json ? [JSON.stringify(record)] : lines()) context.stdout.write(`${line}\n`);
    },
  };
}
