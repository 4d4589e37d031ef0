import { accessSync, constants } from "node:fs";
import { type AgentConfig, AppError } from "@baton/protocol";
import { type Mode, assertWritable, readConfig } from "../config.ts";
import { errorCode } from "../durable-file.ts";
import { findProgram } from "../find-program.ts";
import { readKrakeCredentials } from "../krake-credentials.ts";
import { reasonOf } from "../log.ts";
import { readTlsFiles } from "../tls-files.ts";

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
  const problems = problemsOf(config, environment);
  for (const problem of problems) process.stderr.write(`baton-agent: ${problem}\n`);
  if (problems.length > 0) process.exitCode = 2;
}

function problemsOf(
  config: AgentConfig,
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const { workload, tls, krake, storage, stateDirectory } = config;
  const problems: string[] = [];
  const check = (look: () => unknown): void => {
    try {
      look();
    } catch (error) {
      problems.push(reasonOf(error));
    }
  };
  check(() => assertWritable(stateDirectory));
  if (workload !== null) {
    const [program = ""] = workload.command;
    const path = workload.environment["PATH"] ?? environment["PATH"];
    const found = findProgram({ program, path, workingDirectory: workload.workingDirectory });
    if (found.kind !== "found") problems.push(found.detail);
  }
  if (tls !== null) check(() => readTlsFiles(tls));
  if (krake !== null) check(() => readKrakeCredentials(krake, environment));
  const control = storage?.control.file;
  if (control !== undefined)
    try {
      accessSync(control, constants.R_OK);
    } catch (error) {
      problems.push(`cannot read ${control}: ${errorCode(error) ?? "unknown reason"}`);
    }
  return problems;
}
