import { AppError, type Run, type StartResult, commandKey, sameRun } from "@baton/protocol";
import type { LeaseWrite } from "@baton/storage";
import { decideHandover } from "./handover-table.ts";
import type { DeployInput, DeployPorts, VerifiedReceipt } from "./ports.ts";
import type { StepContext, UndoContext } from "./saga.ts";

type Ctx<Done = unknown, Intent = undefined> = StepContext<DeployInput, DeployPorts, Done, Intent>;
type UndoCtx = UndoContext<DeployInput, DeployPorts, unknown, Record<string, unknown>>;

/** What the target holds after the handover. */
export interface Granted {
  readonly epoch: number;
  readonly grant: string;
}

/** The agent's own deadline ends before the orchestrator's, so that silence means trouble and not slowness (safety rule 14). */
export const answerReserveMs = 5_000;
/** Beyond the grace, the agent looks for what is left of the tree and writes its receipt. */
export const stopBudgetMs = (input: DeployInput): number => input.graceMs + 10_000;

export async function placeTarget({ ports, signal }: Ctx): Promise<null> {
  const status = await ports.target.place(signal);
  if (!status.lease.reachable)
    throw new AppError(
      "storage-unreachable",
      `cannot prepare the target: its agent on ${ports.target.cluster} cannot read the bucket: ${status.lease.detail ?? "no reason given"}`,
    );
  return null;
}

export async function removeTarget({ intents, ports, signal }: UndoCtx): Promise<void> {
  // Without a planned handover the lease cannot name the target, and an unreachable store need not halt the way back.
  const view = intents["handOver"] === undefined ? null : await ports.lease.read(signal);
  if (view !== null && view.lease.holder === ports.target.placement && view.lease.state !== "stopped")
    throw new AppError(
      "lease-mismatch",
      `cannot remove the target ${ports.target.placement}: it holds the lease`,
    );
  await ports.target.remove(signal);
  await ports.records.retire(ports.target.placement);
}

export async function startTarget(ctx: Ctx<{ handOver: Granted }>): Promise<StartResult> {
  const { operation, input, ports, done, signal } = ctx;
  await ports.records.mark({ startSentAt: ports.clock.now().toISOString() });
  const key = commandKey({ operation, step: "start", attempt: 1 });
  const started = await ports.target.start(
    { key, ...done.handOver, deadlineMs: input.readyTimeoutMs },
    signal,
  );
  await ports.records.mark({ readyAt: started.readyAt, applicationStartMs: started.startMs });
  return started;
}

/** After this the target neither runs nor can start with what it was given: it stopped with proof, or it burned its grant. */
export async function stopTarget({ operation, intents, input, ports, signal }: UndoCtx): Promise<void> {
  const write = intents["handOver"] as LeaseWrite | undefined;
  if (write === undefined) return;
  let view = await ports.lease.read(signal);
  if (view === null && write.expectedEtag === null) {
    // Whether the first lease is still on its way can only be known by writing it (safety rule 7); then its grant is burned.
    await ports.lease.apply(write, signal);
    view = await ports.lease.read(signal);
  }
  if (view === null)
    throw new AppError(
      "lease-missing",
      "cannot take back the handover: the lease is missing from the bucket",
    );
  const { lease } = view;
  if (lease.holder !== ports.target.placement || lease.state === "stopped") return;
  if (lease.state === "granted") {
    const key = commandKey({ operation, step: "burn", attempt: lease.epoch });
    await ports.target.burn({ key, epoch: lease.epoch, grant: lease.grant ?? "" }, signal);
    return;
  }
  if (lease.run === null)
    throw new AppError("lease-mismatch", "cannot take back the start: the lease names no run");
  const receipt = await stopAndWait(ports, operation, { run: lease.run, epoch: lease.epoch, input }, signal);
  await assertEnded(ports, receipt, signal);
}

async function stopAndWait(
  ports: DeployPorts,
  operation: string,
  what: { readonly run: Run; readonly epoch: number; readonly input: DeployInput },
  signal: AbortSignal,
): Promise<VerifiedReceipt> {
  const { run, epoch, input } = what;
  const key = commandKey({ operation, step: "stop-target", attempt: 1, run });
  const deadlineMs = stopBudgetMs(input);
  await ports.target.stop({ key, epoch, run, deadlineMs }, signal);
  const receipt = await ports.target.receipt({ key, waitMs: deadlineMs + answerReserveMs }, signal);
  if (receipt === null)
    throw new AppError(
      "stop-unknown",
      `cannot take back the start: the target ${ports.target.placement} gave no receipt`,
    );
  return receipt;
}

/** Taking back is a handover too and passes the same table (safety rule 5). */
async function assertEnded(
  ports: DeployPorts,
  { receipt }: VerifiedReceipt,
  signal: AbortSignal,
): Promise<void> {
  const witness = await ports.target.witness(signal);
  const decision = decideHandover({ ...receipt, witness: witness.state });
  if (decision.kind === "refuse")
    throw new AppError("handover-refused", `cannot take back the start: ${decision.reason}`, {
      meta: { witness },
    });
}

export async function verifyTarget(ctx: Ctx<{ handOver: Granted; start: StartResult }>): Promise<null> {
  const { input, ports, done, signal } = ctx;
  const [view] = await Promise.all([
    ports.lease.read(signal),
    input.verify === null ? Promise.resolve() : ports.target.verify(input.verify, signal),
  ]);
  const lease = view?.lease;
  if (
    lease?.holder !== ports.target.placement ||
    lease.epoch !== done.handOver.epoch ||
    !sameRun(lease.run, done.start.run)
  )
    throw new AppError("lease-mismatch", "cannot commit: the lease does not name the target's run");
  return null;
}

/** The pivot. Opening the target to clients belongs to it: when it fails after the switch, it is done again. */
export async function commit(ctx: Ctx<{ handOver: Granted; start: StartResult }>): Promise<null> {
  const { ports, done, signal } = ctx;
  await ports.records.commit(done.handOver.epoch);
  await ports.records.mark({ committedAt: ports.clock.now().toISOString() });
  await ports.target.open({ epoch: done.handOver.epoch, run: done.start.run }, signal);
  return null;
}
