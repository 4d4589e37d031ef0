import type { AgentConfig } from "@baton/protocol";
import { adoptApplication } from "./adopt.ts";
import { scanRun } from "./application.ts";
import { executeApplication, withholdsPrivileges } from "./execute.ts";
import type { Executor } from "./executor.port.ts";

/** Executes the workload as a child of the agent. */
export const createRunExecutor = (params: {
  readonly config: AgentConfig;
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly logPath: string;
  readonly bootId: string;
}): Executor => {
  const { config, inherited, logPath, bootId } = params;
  return {
    execute: (facts, secrets) => executeApplication({ config, facts, inherited, secrets, logPath }),
    adopt: (facts) => adoptApplication(facts, bootId),
    scan: scanRun,
    claimedOnly: false,
    withholdsPrivileges: () => withholdsPrivileges(config),
  };
};
