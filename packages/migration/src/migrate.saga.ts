// Moves an application from the source placement to the target, which waits held before the source is asked to stop.
//
//   preflight → prepare → stop → fence → handOver → start → verify ─┃commit┃─ retire
//   source:     serving   stopped, held, starts again in place      ┃        gone
//   target:     held      held            granted    serving        ┃        serving
//   before commit everything is taken back and the source serves again; after it only forward, and the target serves

import { AppError, newNonce } from "@baton/protocol";
import { planLeaseChange } from "@baton/storage";
import { fenceMs, fenceSource, planFence } from "./fence-step.ts";
import { giveBack, planGiveBack } from "./give-back.ts";
import type { DeployInput, MigratePorts, VerifiedReceipt } from "./ports.ts";
import { preflight } from "./preflight-step.ts";
import { type StepContext, saga } from "./saga.ts";
import { chooseRun, requestStop, stopConfirmation } from "./source-steps.ts";
import { patientMs } from "./stop-times.ts";
import {
  type PlannedGrant,
  commit,
  handOver,
  placeTarget,
  removeTarget,
  startTarget,
  stopTarget,
  verifyTarget,
} from "./target-steps.ts";

type Ctx<Done = unknown> = StepContext<DeployInput, MigratePorts, Done>;

export const migrate = saga<DeployInput, MigratePorts>("migrate@1")
  .step("preflight", preflight, { deadlineMs: 60_000 })
  .step("prepare", placeTarget, { undo: { run: removeTarget, deadlineMs: 60_000 }, deadlineMs: 60_000 })
  .confirmed("stop", requestStop, stopConfirmation, {
    intend: chooseRun,
    undo: { intend: planGiveBack, run: giveBack, deadlineMs: patientMs },
    deadlineMs: 30_000,
  })
  .step("fence", fenceSource, { intend: planFence, deadlineMs: fenceMs })
  .step("handOver", handOver, {
    intend: planHandOver,
    undo: { run: stopTarget, deadlineMs: patientMs },
    deadlineMs: 30_000,
  })
  .step("start", startTarget, { undo: { run: stopTarget, deadlineMs: patientMs }, deadlineMs: patientMs })
  .step("verify", verifyTarget, { deadlineMs: patientMs })
  .pivot("commit", commit, { deadlineMs: 30_000 })
  .step("retire", retireSource, { deadlineMs: 60_000 });

async function planHandOver({
  operation,
  ports,
  done,
  signal,
}: Ctx<{ stop: VerifiedReceipt }>): Promise<PlannedGrant> {
  const { placement, epoch: lastEpoch, run } = done.stop.receipt;
  const grant = newNonce();
  const write = planLeaseChange({
    current: await ports.lease.read(signal),
    change: {
      kind: "grant",
      owner: ports.lease.owner,
      from: { holder: placement, epoch: lastEpoch, run },
      holder: ports.target.placement,
      grant,
      operation,
    },
  });
  const { epoch } = write.lease;
  await ports.records.raiseEpoch(epoch);
  return { epoch, grant, write };
}

/** The lease is read once more: whoever holds it is not removed. */
async function retireSource({ ports, done, signal }: Ctx<{ stop: VerifiedReceipt }>): Promise<null> {
  const view = await ports.lease.read(signal);
  if (view?.lease.holder !== ports.target.placement)
    throw new AppError(
      "lease-mismatch",
      `cannot retire ${ports.source.placement}: the lease is not the target's`,
    );
  // The key outlives the placement wherever somebody kept it.
  await ports.fence?.disable(done.stop.receipt, signal);
  await ports.source.remove(signal);
  await ports.records.retire(ports.source.placement);
  return null;
}
