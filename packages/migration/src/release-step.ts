import { AppError, sameRun } from "@baton/protocol";
import { type Lease, type LeaseWrite, planLeaseChange } from "@baton/storage";
import type { DeployInput, SourcePorts } from "./ports.ts";
import type { StepContext } from "./saga.ts";
import type { SourceEnd } from "./source-steps.ts";

type Ctx<Intent = undefined> = StepContext<DeployInput, SourcePorts, { stop: SourceEnd }, Intent>;

/** What makes the lease tell of the stop where the agent could not, written down before it is sent (safety rule 7); null: it tells of it. */
export async function planRelease({ input, ports, done, signal }: Ctx): Promise<LeaseWrite | null> {
  const current = await ports.lease.read(signal);
  const { placement, epoch, run: ended } = done.stop.receipt;
  const run = current?.lease.run ?? null;
  if (run === null || !sameRun(run, ended))
    throw new AppError(
      "lease-mismatch",
      `cannot release ${input.application}: the lease does not name the run that was stopped`,
    );
  if (isReleased(current?.lease, done.stop)) return null;
  const { owner } = ports.lease;
  return planLeaseChange({ current, change: { kind: "stop", owner, holder: placement, epoch, run } });
}

/** After it nobody has the application: its lease is stopped, and its key, where it has one of its own, is refused from now on. */
export async function release({ input, ports, done, intent, signal }: Ctx<LeaseWrite | null>): Promise<null> {
  const applied = intent === null ? null : await ports.lease.apply(intent, signal);
  // The agent's own word may have come first.
  if (applied?.kind === "superseded" && !isReleased(applied.current.lease, done.stop))
    throw new AppError(
      "lease-superseded",
      `cannot release ${input.application}: somebody else changed the lease`,
    );
  await ports.fence?.disable(done.stop.receipt, signal);
  return null;
}

const isReleased = (lease: Lease | undefined, { receipt }: SourceEnd): boolean =>
  lease?.state === "stopped" &&
  lease.holder === receipt.placement &&
  lease.epoch === receipt.epoch &&
  sameRun(lease.run, receipt.run);
