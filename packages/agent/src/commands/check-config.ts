import { accessSync, constants } from "node:fs";
import { type AgentConfig, AppError } from "@baton/protocol";
import { type Mode, assertWritable, readConfig } from "../config.ts";
import { errorCode } from "../durable-file.ts";
import { findProgram } from "../find-program.ts";

/**
 * Prints the complete configuration, which holds no secret, and whether what it names is there. Exit status 2 when not.
 *
 * @throws AppError `invalid-configuration`
 */
export async function checkConfig(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const [mode, ...rest] = args;
  if (mode !== "run" && mode !== "attach")
    throw new AppError(
      "invalid-configuration",
      "cannot check: say run or attach first, then the options of it",
    );
  const config = readConfig(mode satisfies Mode, rest, environment);
  process.stdout.write(`${JSON.stringify(config, null, 2)}\n`);
  const problems = problemsOf(config, environment["PATH"]);
  for (const problem of problems) process.stderr.write(`baton-agent: ${problem}\n`);
  if (problems.length > 0) process.exitCode = 2;
}

function problemsOf(config: AgentConfig, path: string | undefined): string[] {
  const { workload, tls, storage, stateDirectory } = config;
  const problems: string[] = [];
  try {
    assertWritable(stateDirectory);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  if (workload !== null) {
    const [program = ""] = workload.command;
    const { workingDirectory } = workload;
    const found = findProgram({ program, path: workload.environment["PATH"] ?? path, workingDirectory });
    if (found.kind !== "found") problems.push(found.detail);
  }
  for (const file of [tls?.certificate, tls?.key, tls?.clientCa, storage?.control.file]) {
    if (file === undefined || file === null) continue;
    try {
      accessSync(file, constants.R_OK);
    } catch (error) {
      problems.push(`cannot read ${file}: ${errorCode(error) ?? "unknown reason"}`);
    }
  }
  return problems;
}
