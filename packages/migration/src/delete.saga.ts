// Stops an application and removes its placement; what it stored stays, and so do the records of it and its lease, stopped.
//
//   preflight → stop → fence → release ─┃commit┃─ retire
//   serving     stopped, held           ┃         gone
//   before commit everything is taken back and the application serves again; after it only forward
//   one that is stopped has been fenced and released: preflight ─┃commit┃─ retire

import { AppError } from "@baton/protocol";
import { fenceMs, fenceSource, planFence } from "./fence-step.ts";
import { stopAndGiveBack } from "./give-back.ts";
import type { DeployInput, SourcePorts } from "./ports.ts";
import { preflight } from "./preflight-step.ts";
import { planRelease, release } from "./release-step.ts";
import { type StepContext, saga } from "./saga.ts";
import { requestStop, stopConfirmation } from "./source-steps.ts";

type Ctx = StepContext<DeployInput, SourcePorts, unknown>;

export const deleteServing = saga<DeployInput, SourcePorts>("delete@1")
  .step("preflight", preflight, { deadlineMs: 60_000 })
  .confirmed("stop", requestStop, stopConfirmation, stopAndGiveBack)
  .step("fence", fenceSource, { intend: planFence, deadlineMs: fenceMs })
  .step("release", release, { intend: planRelease, deadlineMs: 60_000 })
  .pivot("commit", commit, { deadlineMs: 30_000 })
  .step("retire", retire, { deadlineMs: 60_000 });

export const deleteStopped = saga<DeployInput, SourcePorts>("delete-stopped@1")
  .step("preflight", preflight, { deadlineMs: 60_000 })
  .pivot("commit", commit, { deadlineMs: 30_000 })
  .step("retire", retire, { deadlineMs: 60_000 });

async function commit({ ports }: Ctx): Promise<null> {
  await ports.records.commitDelete();
  await ports.records.mark({ committedAt: ports.clock.now().toISOString() });
  return null;
}

/** The lease is read once more: a holder that is not known to be stopped is not removed (safety rule 8). Nothing of the storage is touched. */
async function retire({ input, ports, signal }: Ctx): Promise<null> {
  const { placement } = ports.source;
  const lease = (await ports.lease.read(signal))?.lease;
  if (lease?.holder !== placement || lease.state !== "stopped")
    throw new AppError(
      "lease-mismatch",
      `cannot remove ${placement} of ${input.application}: the lease does not say that it is stopped`,
    );
  await ports.source.remove(signal);
  await ports.records.retire(placement);
  return null;
}
