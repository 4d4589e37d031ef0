// Starts an application that runs nowhere.
//
//   preflight → claim → prepare → handOver → start → verify ─┃commit┃
//   target:               held      granted    serving       ┃ serving
//   before commit the target is removed again; the claim of the prefix stays, since it is the application's

import { AppError, newNonce } from "@baton/protocol";
import { planLeaseChange } from "@baton/storage";
import { type UndoCtx, endTarget } from "./end-target.ts";
import type { DeployInput, DeployPorts } from "./ports.ts";
import { preflightAndSettle } from "./preflight-step.ts";
import { type StepContext, saga } from "./saga.ts";
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

type Ctx = StepContext<DeployInput, DeployPorts, unknown>;

export const deploy = saga<DeployInput, DeployPorts>("deploy@1")
  .step("preflight", preflightAndSettle, { deadlineMs: patientMs })
  .step("claim", claimPrefix, { deadlineMs: 30_000 })
  .step("prepare", placeTarget, { undo: { run: removeTarget, deadlineMs: 60_000 }, deadlineMs: 60_000 })
  .step("handOver", handOver, {
    intend: planHandOver,
    undo: { run: takeBackGrant, deadlineMs: patientMs },
    deadlineMs: 30_000,
  })
  .step("start", startTarget, { undo: { run: stopTarget, deadlineMs: patientMs }, deadlineMs: patientMs })
  .step("verify", verifyTarget, { deadlineMs: patientMs })
  .pivot("commit", commit, { deadlineMs: 30_000 });

async function claimPrefix({ ports, signal }: Ctx): Promise<null> {
  await ports.lease.claim(signal);
  return null;
}

/** The first lease, or the next epoch of one whose last run has ended. */
async function planHandOver({ input, operation, ports, signal }: Ctx): Promise<PlannedGrant> {
  const current = await ports.lease.read(signal);
  if (current === null && input.knownEpoch > 0)
    throw new AppError(
      "lease-missing",
      `cannot deploy ${input.application}: its lease, known with epoch ${input.knownEpoch}, is missing from the bucket`,
    );
  const grant = newNonce();
  const to = { owner: ports.lease.owner, holder: ports.target.placement, grant, operation };
  const isAdopted = current?.lease.state === "fenced" && current.lease.epoch === input.adoptedEpoch;
  if (current !== null && current.lease.state !== "stopped" && !isAdopted)
    throw new AppError(
      "lease-mismatch",
      `cannot deploy ${input.application}: its lease is ${current.lease.state}, held by ${current.lease.holder}`,
    );
  const write = planLeaseChange({
    current,
    change:
      current === null
        ? { kind: "create", application: input.application, prefix: ports.lease.prefix, ...to }
        : { kind: "grant", from: current.lease, ...to },
  });
  const { epoch } = write.lease;
  await ports.records.raiseEpoch(epoch);
  return { epoch, grant, write };
}

/** Whether the grant is still on its way can only be known by writing it (safety rule 7); then it is burned. */
async function takeBackGrant(ctx: UndoCtx): Promise<void> {
  const planned = ctx.intents["handOver"] as PlannedGrant | undefined;
  if (planned === undefined) return;
  await ctx.ports.lease.apply(planned.write, ctx.signal);
  await endTarget(ctx);
}
