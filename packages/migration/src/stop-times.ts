import type { DeployInput } from "./ports.ts";

/** The agent's own deadline ends before the orchestrator's, so that silence means trouble and not slowness (safety rule 14). */
export const answerReserveMs = 5_000;
/** Beyond the grace, the agent looks for what is left of the tree and writes its receipt. */
export const stopBudgetMs = ({ graceMs }: Pick<DeployInput, "graceMs">): number => graceMs + 10_000;
/** Enough for a phase that waits for the application or the store as long as their settings allow; each wait in it ends by itself before. */
export const patientMs = (input: DeployInput): number =>
  60_000 +
  2 * stopBudgetMs(input) +
  input.settleMs +
  input.replicaMs +
  input.readyTimeoutMs +
  (input.verify?.timeoutMs ?? 0);
