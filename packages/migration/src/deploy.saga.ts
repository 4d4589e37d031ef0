// Starts an application that runs nowhere.
//
//   preflight → claim → prepare → handOver → start → verify ─┃commit┃
//   target:               held      granted    serving       ┃ serving
//   before commit the target is removed again; the claim of the prefix stays, since it is the application's

import { AppError, newNonce } from "@baton/protocol";
import { type LeaseWrite, assertProbe, planLeaseChange } from "@baton/storage";
import type { DeployInput, DeployPorts } from "./ports.ts";
import { type StepContext, saga } from "./saga.ts";
import {
  type Granted,
  commit,
  placeTarget,
  removeTarget,
  startTarget,
  stopTarget,
  verifyTarget,
} from "./target-steps.ts";

type Ctx<Done = unknown, Intent = undefined> = StepContext<DeployInput, DeployPorts, Done, Intent>;

export const deploy = saga<DeployInput, DeployPorts>("deploy@1")
  .step("preflight", preflight, { deadlineMs: 60_000 })
  .step("claim", claimPrefix, { deadlineMs: 30_000 })
  .step("prepare", placeTarget, { undo: { run: removeTarget }, deadlineMs: 60_000 })
  .step("handOver", handOver, { intend: planHandOver, undo: { run: stopTarget }, deadlineMs: 30_000 })
  .step("start", startTarget, { undo: { run: stopTarget }, deadlineMs: 120_000 })
  .step("verify", verifyTarget, { deadlineMs: 60_000 })
  .pivot("commit", commit, { deadlineMs: 30_000 });

async function preflight({ input, ports, signal }: Ctx): Promise<null> {
  const [probe] = await Promise.all([ports.lease.probe(signal), ports.target.checkCluster(signal)]);
  assertProbe(probe, `the storage of ${input.application}`);
  return null;
}

async function claimPrefix({ ports, signal }: Ctx): Promise<null> {
  await ports.lease.claim(signal);
  return null;
}

/** The first lease, or the next epoch of one whose last run has ended. */
async function planHandOver({ input, operation, ports, signal }: Ctx): Promise<LeaseWrite> {
  const current = await ports.lease.read(signal);
  if (current === null && input.knownEpoch > 0)
    throw new AppError(
      "lease-missing",
      `cannot deploy ${input.application}: its lease, known with epoch ${input.knownEpoch}, is missing from the bucket`,
    );
  const to = { owner: ports.lease.owner, holder: ports.target.placement, grant: newNonce(), operation };
  if (current !== null && current.lease.state !== "stopped")
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
  await ports.records.raiseEpoch(write.lease.epoch);
  return write;
}

async function handOver({ input, ports, intent, signal }: Ctx<unknown, LeaseWrite>): Promise<Granted> {
  const applied = await ports.lease.apply(intent, signal);
  if (applied.kind === "superseded")
    throw new AppError(
      "lease-superseded",
      `cannot deploy ${input.application}: somebody else changed the lease`,
    );
  return { epoch: intent.lease.epoch, grant: intent.lease.grant ?? "" };
}
