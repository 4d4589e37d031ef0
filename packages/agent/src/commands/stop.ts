import { parseArgs } from "node:util";
import { AppError } from "@baton/protocol";
import { callLocally } from "../local-call.ts";

interface Stopped {
  readonly key: string | null;
  readonly outcome: string | null;
  readonly evidenceClass: string | null;
  readonly remaining: readonly string[];
}

const answerMs = 5_000;

/** Stops the application of the agent beside us by the ordinary path. Exit status 0 when it is gone; 1 when it is not, or that is not known. */
export async function stop(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const { values } = parse(args);
  const stateDirectory =
    values["state-directory"] ?? environment["BATON_STATE_DIRECTORY"] ?? "/var/lib/baton";
  const deadlineMs = Number(values["deadline-ms"] ?? "60000");
  if (!Number.isInteger(deadlineMs) || deadlineMs <= 0)
    throw new AppError("invalid-configuration", "cannot stop: --deadline-ms takes a whole number above 0");
  const path = `/stop?deadlineMs=${deadlineMs}`;
  const call = callLocally({ stateDirectory, method: "POST", path, timeoutMs: deadlineMs + answerMs });
  if (values.wait !== true) {
    // The agent goes on when we leave; what is awaited is only that it has the command.
    await Promise.race([call, new Promise((resolve) => setTimeout(resolve, 200))]);
    process.stdout.write("the stop is under way; see baton-agent status\n");
    process.exit(0);
  }
  const { key, outcome, evidenceClass, remaining } = (await call) as Stopped;
  if (outcome === null) {
    process.stdout.write("there is nothing to stop\n");
    return;
  }
  process.stdout.write(`${outcome} (${evidenceClass ?? "unknown"}), receipt ${key ?? ""}\n`);
  for (const line of remaining) process.stdout.write(`  ${line}\n`);
  if (evidenceClass === "unknown") process.exitCode = 1;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        wait: { type: "boolean" },
        "deadline-ms": { type: "string" },
        "state-directory": { type: "string" },
      },
    });
  } catch (error) {
    throw new AppError(
      "invalid-configuration",
      "cannot read the command line: baton-agent stop takes --wait, --deadline-ms N and --state-directory DIR",
      { cause: error },
    );
  }
}
