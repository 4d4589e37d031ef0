// Starts an application again in the placement where it was stopped, or where it ended by itself.
//
//   preflight → handOver → start → verify ─┃commit┃
//   held        granted    serving         ┃ serving
//   before commit it is stopped again, in a higher epoch; the placement stays

import { AppError, type Run, newNonce } from "@baton/protocol";
import { planLeaseChange } from "@baton/storage";
import { type UndoCtx, endTarget, knownLease } from "./end-target.ts";
import type { DeployInput, DeployPorts } from "./ports.ts";
import { preflightAndSettle } from "./preflight-step.ts";
import { type StepContext, saga } from "./saga.ts";
import { patientMs } from "./stop-times.ts";
import {
  type Granted,
  type PlannedGrant,
  commit,
  handOver,
  startTarget,
  verifyTarget,
} from "./target-steps.ts";

type Ctx<Intent = undefined> = StepContext<DeployInput, DeployPorts, unknown, Intent>;

export const start = saga<DeployInput, DeployPorts>("start@1")
  .step("preflight", preflightAndSettle, { deadlineMs: patientMs })
  .step("handOver", grantAgain, {
    intend: planGrant,
    undo: { run: takeBackGrant, deadlineMs: patientMs },
    deadlineMs: 60_000,
  })
  .step("start", startTarget, { undo: { run: stopAgain, deadlineMs: patientMs }, deadlineMs: patientMs })
  .step("verify", verifyTarget, { deadlineMs: patientMs })
  .pivot("commit", commit, { deadlineMs: 30_000 });

/** With the last run that ended here, which nobody stops again. */
interface PlannedStart extends PlannedGrant {
  readonly before: Run | null;
}

async function planGrant({ input, operation, ports, signal }: Ctx): Promise<PlannedStart> {
  const [current, { run: before }] = await Promise.all([
    ports.lease.read(signal),
    ports.target.status(signal),
  ]);
  const { placement: holder } = ports.target;
  const grant = newNonce();
  if (current?.lease.state !== "stopped" || current.lease.holder !== holder)
    throw new AppError(
      "lease-mismatch",
      `cannot start ${input.application}: the lease does not say that ${holder} is stopped`,
    );
  const { owner } = ports.lease;
  const write = planLeaseChange({
    current,
    change: { kind: "grant", owner, from: current.lease, holder, grant, operation },
  });
  const { epoch } = write.lease;
  await ports.records.raiseEpoch(epoch);
  return { epoch, grant, write, before };
}

/** The new epoch brings a key of its own; the old one never comes back. */
async function grantAgain(ctx: Ctx<PlannedStart>): Promise<Granted> {
  const { ports, signal } = ctx;
  const granted = await handOver(ctx);
  await ports.fence?.disable({ placement: ports.target.placement, epoch: granted.epoch - 1 }, signal);
  return granted;
}

/** Whether the grant is still on its way can only be known by writing it (safety rule 7); then it is burned. */
async function takeBackGrant(ctx: UndoCtx): Promise<void> {
  const { intents, ports, signal } = ctx;
  const planned = intents["handOver"] as PlannedStart | undefined;
  if (planned === undefined) return;
  await ports.lease.apply(planned.write, signal);
  // Holder before and after are the same placement: in an epoch below nothing was granted, and the run that it names had ended before.
  if ((await knownLease(ports, signal)).lease.epoch < planned.epoch) return;
  await endTarget(ctx, planned.before);
  await ports.fence?.disable({ placement: ports.target.placement, epoch: planned.epoch }, signal);
}

async function stopAgain(ctx: UndoCtx): Promise<void> {
  await endTarget(ctx, (ctx.intents["handOver"] as PlannedStart).before);
}
