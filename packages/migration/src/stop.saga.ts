// Stops an application where it is; its placement stays, held, and can start again in place.
//
//   preflight → stop → fence → release ─┃commit┃
//   serving     stopped, held           ┃ stopped, held
//   before commit everything is taken back and the application serves again, in a higher epoch

import { fenceMs, fenceSource, planFence } from "./fence-step.ts";
import { stopAndGiveBack } from "./give-back.ts";
import type { DeployInput, SourcePorts } from "./ports.ts";
import { preflight } from "./preflight-step.ts";
import { planRelease, release } from "./release-step.ts";
import { type StepContext, saga } from "./saga.ts";
import { requestStop, stopConfirmation } from "./source-steps.ts";

export const stop = saga<DeployInput, SourcePorts>("stop@1")
  .step("preflight", preflight, { deadlineMs: 60_000 })
  .confirmed("stop", requestStop, stopConfirmation, stopAndGiveBack)
  .step("fence", fenceSource, { intend: planFence, deadlineMs: fenceMs })
  .step("release", release, { intend: planRelease, deadlineMs: 60_000 })
  .pivot("commit", commit, { deadlineMs: 30_000 });

async function commit({ ports }: StepContext<DeployInput, SourcePorts, unknown>): Promise<null> {
  await ports.records.commitStop();
  await ports.records.mark({ committedAt: ports.clock.now().toISOString() });
  return null;
}
