import { AppError, isAppError, sameRun } from "@baton/protocol";
import type { DeployInput, MigratePorts, PlacementPort } from "./ports.ts";

/** Where a migration ended that the records no longer know of. */
export interface Followed {
  readonly end: "committed" | "rolled-back";
  readonly placement: string;
  readonly epoch: number;
}

/**
 * What became of a migration whose records were set back to a backup and are older than its lease. Nothing is guessed: the lease is of this very
 * migration and names a run on one of its two placements, which the agent there confirms, and nothing runs on the other one. Clients are let in
 * there; a target is verified first. Idempotent, and changes no record.
 *
 * @throws AppError `lease-newer` saying what does not agree; nothing was touched then
 */
export async function followLease(params: {
  readonly operation: string;
  readonly input: Pick<DeployInput, "application" | "verify">;
  readonly ports: Pick<MigratePorts, "lease" | "source" | "target">;
  /** The highest epoch in the records. */
  readonly above: number;
  readonly signal: AbortSignal;
}): Promise<Followed> {
  const { operation, input, ports, above, signal } = params;
  const refuse = (why: string): AppError =>
    new AppError("lease-newer", `cannot follow the lease of ${input.application}: ${why}`);
  const lease = (await ports.lease.read(signal))?.lease;
  if (lease?.owner !== ports.lease.owner || lease.operation !== operation)
    throw refuse("it is of another operation, which the records do not know");
  if (lease.epoch <= above) throw refuse("it is not newer than the records");
  const isTarget = lease.holder === ports.target.placement;
  if (!isTarget && lease.holder !== ports.source.placement)
    throw refuse(`it names ${lease.holder}, which is not of this operation`);
  const { epoch, run } = lease;
  if (lease.state !== "running" || run === null) throw refuse(`it is ${lease.state}, not running`);
  const [holder, other] = isTarget ? [ports.target, ports.source] : [ports.source, ports.target];
  const status = await holder.status(signal);
  if (status.state !== "running" || status.epoch !== epoch || !sameRun(status.run, run))
    throw refuse(
      `the agent of ${holder.placement} is ${status.state}, in another run or epoch than it names`,
    );
  const witness = await other.witness(signal);
  if (witness.state !== "terminated" && (witness.state === "running" || !(await isRemoved(other, signal))))
    throw refuse(`the witness of ${other.cluster} says ${witness.state} of ${other.placement}`);
  if (isTarget && input.verify !== null) await holder.verify({ epoch, run, verify: input.verify }, signal);
  await holder.open({ epoch, run }, signal);
  return { end: isTarget ? "committed" : "rolled-back", placement: holder.placement, epoch };
}

/** Its cluster answers, and has no such placement: that was ended before it was removed. */
const isRemoved = (placement: PlacementPort, signal: AbortSignal): Promise<boolean> =>
  placement.status(signal).then(
    () => false,
    (error: unknown) => isAppError(error) && error.code === "unknown-placement",
  );
