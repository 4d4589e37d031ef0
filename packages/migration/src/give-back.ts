import { AppError, type Run, commandKey, isAppError, newNonce } from "@baton/protocol";
import { type LeaseView, type LeaseWrite, planLeaseChange } from "@baton/storage";
import { catchUp } from "./catch-up.ts";
import { endTarget, isAtRest, knownLease } from "./end-target.ts";
import type { DeployInput, PlacementPort, SourcePorts, VerifiedReceipt } from "./ports.ts";
import type { UndoContext } from "./saga.ts";
import { type StopIntent, chooseRun, keepReceipt, stopFailure } from "./source-steps.ts";
import type { PlannedFence } from "./fence-step.ts";
import { answerReserveMs, patientMs, stopBudgetMs } from "./stop-times.ts";

/** A stop that hands over to nobody has no target. */
type GiveBackPorts = SourcePorts & { readonly target?: PlacementPort };
type UndoCtx<Intent = undefined> = UndoContext<
  DeployInput,
  GiveBackPorts,
  unknown,
  Record<string, unknown>,
  Intent
>;

/** How the source gets its application back: it was never asked, it runs, or it needs a grant (perhaps one that it already has). */
export type GiveBack =
  | { readonly kind: "untouched" }
  | { readonly kind: "serving" }
  | {
      readonly kind: "granted";
      readonly epoch: number;
      readonly grant: string;
      readonly write: LeaseWrite | null;
      /** What it wrote may still be on its way to the source's endpoint. */
      readonly targetRan?: boolean;
    };

/**
 * Looks at what became of the stop and plans the way back, before anything is done. The stop is withdrawn first, so that a request that is still
 * on its way cannot stop a source that was counted as running.
 */
async function planGiveBack(ctx: UndoCtx): Promise<GiveBack> {
  const { intents, operation, ports, override, signal } = ctx;
  const intent = intents["stop"] as StopIntent | undefined;
  if (intent === undefined) return { kind: "untouched" };
  const found = await knownLease(ports, signal);
  const failed = await endFailedStart(ctx, found, intent);
  const earlier = failed ?? givenBackBefore(found, ports, intent);
  if (earlier !== null && "kind" in earlier) return earlier;
  const last = earlier ?? (await endStopped(ctx, intent));
  if (last === null) return { kind: "serving" };
  // A start beside a process that the agent did not see would be a second writer in one placement (safety rule 5).
  const witness = await ports.source.witness(signal);
  if (witness.state !== "terminated" && (witness.state !== "unknown" || override === null))
    throw new AppError(
      "handover-refused",
      `cannot take back the stop: the witness of ${ports.source.cluster} says ${witness.state}`,
      { meta: { witness } },
    );
  // Last, for the agent wrote to the lease when its stop ended, and a handover that was on its way may have arrived meanwhile.
  const { target } = ports;
  const { view, ended: tenure } =
    target === undefined
      ? { view: await knownLease(ports, signal), ended: null }
      : await endTarget({ ...ctx, ports: { ...ports, target } });
  const late = givenBackBefore(view, ports, last);
  if (late !== null) return late;
  const grant = newNonce();
  // Conditional on the ETag that was judged: it also makes a handover that is still on its way fail for good.
  const write = planLeaseChange({
    current: view,
    change: {
      kind: "grant",
      owner: ports.lease.owner,
      from: tenure ?? last,
      holder: ports.source.placement,
      grant,
      operation,
    },
  });
  const { epoch } = write.lease;
  await ports.records.raiseEpoch(epoch);
  return { kind: "granted", epoch, grant, write, targetRan: tenure !== null && tenure.run !== null };
}

/** The source's last hold on the lease, which is over for good; null where it was not stopped, and nothing followed from that. */
async function endStopped(ctx: UndoCtx, intent: StopIntent): Promise<Tenure | null> {
  const { intents, input, ports } = ctx;
  const found = await endedStop(ctx, intent, stopBudgetMs(input));
  const ended = "receipt" in found ? found : null;
  const wasFenced = (intents["fence"] as PlannedFence | undefined)?.isNeeded === true;
  const wentOn = wasFenced || "handOver" in intents || "release" in intents;
  if (ended === null && !wentOn) return null;
  // It was given up for lost and is there after all, with a key that was taken away and perhaps without the lease.
  const stopped = "receipt" in found ? found : await stopOnceMore(ctx, found);
  // The stop may have ended only now: its receipt belongs to the operation all the same.
  await keepReceipt(ports, stopped);
  const { placement: holder, epoch, run } = stopped.receipt;
  return { holder, epoch, run };
}

/**
 * An earlier try gave the source a grant, and its agent is at rest again: that start has failed, and an order that failed is never tried again. Its run
 * is seen to have ended, or its grant is burned, so that another one may follow. Null: there is no such start.
 */
async function endFailedStart(
  ctx: UndoCtx,
  { lease }: LeaseView,
  intent: StopIntent,
): Promise<Tenure | null> {
  const { operation, ports, signal } = ctx;
  const { holder, epoch, grant } = lease;
  if (holder !== ports.source.placement || epoch <= intent.epoch) return null;
  const status = await ports.source.status(signal);
  const run = status.epoch === epoch && isAtRest(status) ? status.run : null;
  if (run === null) return null;
  if (grant !== null && (await isBurned(grant))) return { holder, epoch, run: null };
  await stopOnceMore(ctx, { run, epoch });
  return { holder, epoch, run };

  /** Its agent refuses where the grant became a run, or may have. */
  async function isBurned(unused: string): Promise<boolean> {
    const key = commandKey({ operation, step: "burn", attempt: epoch });
    try {
      await ports.source.burn({ key, epoch, grant: unused }, signal);
      return true;
    } catch (error) {
      if (isAppError(error) && error.code === "wrong-state") return false;
      throw error;
    }
  }
}

/** How far an earlier try of this undo got; its write may also arrive late. */
function givenBackBefore(
  { lease }: LeaseView,
  ports: SourcePorts,
  last: Pick<Tenure, "epoch">,
): GiveBack | null {
  if (lease.holder !== ports.source.placement || lease.epoch <= last.epoch) return null;
  if (lease.state === "granted" && lease.grant !== null)
    return { kind: "granted", epoch: lease.epoch, grant: lease.grant, write: null };
  return lease.state === "running" ? { kind: "serving" } : null;
}

type Tenant = Pick<StopIntent, "run" | "epoch">;

/** Who held the lease, and with what run, if with any. */
interface Tenure {
  readonly holder: string;
  readonly epoch: number;
  readonly run: Run | null;
}

/** The receipt of a stop that ended the application, or what runs and can no longer be stopped by this key. */
async function endedStop(
  ctx: UndoCtx,
  intent: StopIntent,
  waitMs: number,
): Promise<VerifiedReceipt | Tenant> {
  const { ports, signal } = ctx;
  // An attempt that was counted out may still be on its way.
  for (const key of intent.earlier) await ports.source.withdraw({ key, epoch: intent.epoch }, signal);
  const status = await ports.source.withdraw(intent, signal);
  const { epoch } = intent;
  // Also one that followed in its slot (rule 2): what was asked to stop ended by itself, or with its machine.
  const run = status.epoch === epoch && status.run?.placement === intent.run.placement ? status.run : null;
  if (run !== null && (status.state === "running" || status.state === "refused")) return { run, epoch };
  const verified = await ports.source.receipt({ key: intent.key, waitMs }, signal);
  const wasRefused = verified?.receipt.outcome === "refused";
  if (verified !== null && !wasRefused) return assertProvenEnd(verified);
  // The stop did not come to it, or did not end it, and it ended by itself: its agent is asked how, under a key that was not withdrawn.
  if (isAtRest(status) && run !== null) return stopOnceMore(ctx, { run, epoch });
  if (wasRefused) return intent;
  throw new AppError(
    "stop-unknown",
    `cannot take back the stop: the source is ${status.state} and gave no receipt`,
  );
}

const isProvenEnd = ({ receipt: { outcome, evidenceClass } }: VerifiedReceipt): boolean =>
  outcome !== "refused" && outcome !== "unknown" && evidenceClass === "proven";

function assertProvenEnd(verified: VerifiedReceipt): VerifiedReceipt {
  if (isProvenEnd(verified)) return verified;
  const { outcome, evidenceClass } = verified.receipt;
  throw new AppError(
    "stop-unknown",
    `cannot take back the stop: the source's stop was ${outcome}, ${evidenceClass}`,
  );
}

async function stopOnceMore(
  { operation, input, ports, signal }: UndoCtx,
  { run, epoch }: Tenant,
): Promise<VerifiedReceipt> {
  const key = commandKey({ operation, step: "stop-source", attempt: 1, run });
  const deadlineMs = stopBudgetMs(input);
  await ports.source.stop({ key, run, epoch, deadlineMs }, signal);
  const verified = await ports.source.receipt({ key, waitMs: deadlineMs + answerReserveMs }, signal);
  if (verified === null)
    throw new AppError(
      "stop-unknown",
      "cannot take back the stop: the source was asked once more and gave no receipt",
    );
  return assertProvenEnd(verified);
}

/** Starts the source again in place, under a higher epoch, and lets its clients in. */
export async function giveBack({
  intent,
  intents,
  input,
  operation,
  ports,
  signal,
}: UndoCtx<GiveBack>): Promise<void> {
  if (intent.kind === "untouched") return;
  if (intent.kind === "serving") {
    const { state, run, epoch } = await ports.source.status(signal);
    if (state !== "running" || run === null)
      throw new AppError("wrong-state", `cannot take back the stop: the source is ${state}, not running`);
    // An earlier try may have started it and recorded nothing.
    await ports.records.restore(epoch);
    await ports.source.open({ epoch, run }, signal);
    return;
  }
  const { epoch, grant, write } = intent;
  if (write !== null) {
    // What the dead run sent may still arrive: the same pause as before any other holder.
    await ports.clock.wait(input.settleMs, signal);
    if (intent.targetRan === true) await catchUp(ports, "target", signal);
    const applied = await ports.lease.apply(write, signal);
    if (applied.kind === "superseded")
      throw new AppError(
        "lease-superseded",
        "cannot take back the stop: the lease was changed meanwhile; look again",
      );
  }
  // The new epoch brings a key of its own; the old one never comes back.
  const { epoch: lastEpoch } = intents["stop"] as StopIntent;
  await ports.fence?.disable({ placement: ports.source.placement, epoch: lastEpoch }, signal);
  const key = commandKey({ operation, step: "start-source", attempt: epoch });
  const started = await ports.source.start({ key, epoch, grant, deadlineMs: input.readyTimeoutMs }, signal);
  await ports.records.restore(epoch);
  await ports.source.open({ epoch, run: started.run }, signal);
}

/** How every saga stops its source: by what its intent names, again where it fails, and taken back into serving in place. */
export const stopAndGiveBack = {
  intend: chooseRun,
  undo: { intend: planGiveBack, run: giveBack, deadlineMs: patientMs },
  deadlineMs: patientMs,
  ...stopFailure,
} as const;
