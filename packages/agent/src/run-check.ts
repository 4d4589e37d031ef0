import { type AgentConfig, AppError, type CheckResult } from "@baton/protocol";
import type { Application } from "./application.ts";
import { createDeadline } from "./deadline.ts";
import { runCommand } from "./run-command.ts";

/** Runs a check of the configuration in the application's environment. @throws AppError `not-found` */
export function runCheck(
  config: AgentConfig,
  application: Application | null,
  number: number,
): Promise<CheckResult> {
  const check = config.checks[number];
  if (check === undefined || application === null)
    throw new AppError("not-found", "cannot check: this agent's configuration has no such check");
  return runCommand({
    ...check,
    environment: application.environment(),
    workingDirectory: config.workload?.workingDirectory,
    deadline: createDeadline(performance.now() + check.timeoutMs),
  });
}
