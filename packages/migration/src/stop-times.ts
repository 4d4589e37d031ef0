import type { Verify } from "@baton/protocol";
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
  verifyMs(input.verify);

/** Between two rounds of checks. */
export const soakPauseMs = 1_000;
export const soakRounds = (verify: Verify | null): number => Math.ceil((verify?.soakMs ?? 0) / soakPauseMs);

/** However long each check takes; a round that is over in no time takes its pause. */
function verifyMs(verify: Verify | null): number {
  if (verify === null) return 0;
  const round = [verify, ...(verify.requests ?? []), ...(verify.commands ?? [])].reduce(
    (sum, { timeoutMs }) => sum + timeoutMs,
    0,
  );
  return round + soakRounds(verify) * (soakPauseMs + round);
}
