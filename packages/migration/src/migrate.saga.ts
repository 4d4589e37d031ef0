// Moves an application from the source placement to the target, which waits held before the source is asked to stop.
//
//   preflight → prepare → stop → fence → handOver → start → verify ─┃commit┃─ retire
//   source:     serving   stopped, held, starts again in place      ┃        gone
//   target:     held      held            granted    serving        ┃        serving
//   before commit everything is taken back and the source serves again; after it only forward, and the target serves

import { AppError, isAppError, newNonce } from "@baton/protocol";
import { planLeaseChange } from "@baton/storage";
import { fenceAndCatchUp } from "./catch-up.ts";
import { type Fenced, fenceMs, planFence } from "./fence-step.ts";
import { type GiveBack, giveBack, stopAndGiveBack } from "./give-back.ts";
import type { DeployInput, MigratePorts } from "./ports.ts";
import { preflight } from "./preflight-step.ts";
import { type StepContext, type UndoContext, saga } from "./saga.ts";
import { type SourceEnd, requestStop, stopConfirmation } from "./source-steps.ts";
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
  .confirmed("stop", requestStop, stopConfirmation, stopAndGiveBack)
  .step("fence", fenceAndCatchUp, { intend: planFence, deadlineMs: fenceMs })
  .step("handOver", handOver, {
    intend: planHandOver,
    undo: { run: stopTarget, deadlineMs: patientMs },
    deadlineMs: 30_000,
  })
  .step("start", startTarget, { undo: { run: stopTarget, deadlineMs: patientMs }, deadlineMs: patientMs })
  .step("verify", verifyTarget, { deadlineMs: patientMs })
  .pivot("commit", commit, { deadlineMs: 30_000 })
  .step("retire", retireSource, { deadlineMs: 60_000 });

/** The same without a target that waits: it is made when the source has stopped, and the application is down meanwhile. */
export const migrateCold = saga<DeployInput, MigratePorts>("migrate-cold@1")
  .step("preflight", preflight, { deadlineMs: 60_000 })
  .confirmed("stop", requestStop, stopConfirmation, {
    ...stopAndGiveBack,
    // The target goes last: the way back still asks it.
    undo: { ...stopAndGiveBack.undo, run: giveBackAlone },
  })
  .step("fence", fenceAndCatchUp, { intend: planFence, deadlineMs: fenceMs })
  .step("prepare", placeTarget, { deadlineMs: 60_000 })
  .step("handOver", handOver, {
    intend: planHandOver,
    undo: { run: stopTarget, deadlineMs: patientMs },
    deadlineMs: 30_000,
  })
  .step("start", startTarget, { undo: { run: stopTarget, deadlineMs: patientMs }, deadlineMs: patientMs })
  .step("verify", verifyTarget, { deadlineMs: patientMs })
  .pivot("commit", commit, { deadlineMs: 30_000 })
  .step("retire", retireSource, { deadlineMs: 60_000 });

async function giveBackAlone(
  ctx: UndoContext<DeployInput, MigratePorts, unknown, Record<string, unknown>, GiveBack>,
): Promise<void> {
  await giveBack(ctx);
  await removeTarget({ ...ctx, intent: undefined });
}

async function planHandOver({
  operation,
  ports,
  done,
  signal,
}: Ctx<{ stop: SourceEnd; fence: Fenced | null }>): Promise<PlannedGrant> {
  const { placement, epoch: lastEpoch, run: lastRun } = done.stop.receipt;
  const grant = newNonce();
  const current = await ports.lease.read(signal);
  // Without a receipt nobody knows whether the source started again in its slot: what was fenced is every run of its epoch.
  const isFenced = done.stop.jws === null && done.fence?.answeredFor === null;
  const run = (isFenced ? current?.lease.run : done.fence?.answeredFor) ?? lastRun;
  const write = planLeaseChange({
    current,
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
async function retireSource({ ports, done, signal }: Ctx<{ stop: SourceEnd }>): Promise<null> {
  const view = await ports.lease.read(signal);
  if (view?.lease.holder !== ports.target.placement)
    throw new AppError(
      "lease-mismatch",
      `cannot retire ${ports.source.placement}: the lease is not the target's`,
    );
  // The key outlives the placement wherever somebody kept it.
  await ports.fence?.disable(done.stop.receipt, signal);
  try {
    await ports.source.remove(signal);
  } catch (error) {
    // A source that was given up for lost may be so for ever; its key and its lease are taken away, so it is left where it is.
    const isAway =
      isAppError(error) && ["cluster-unavailable", "agent-unreachable", "wrong-state"].includes(error.code);
    if (done.stop.jws !== null || !isAway) throw error;
    return null;
  }
  await ports.records.retire(ports.source.placement);
  return null;
}
