import { AppError, type Run, commandKey, newNonce, sameRun } from "@baton/protocol";
import { type LeaseWrite, planLeaseChange } from "@baton/storage";
import { endTarget } from "./end-target.ts";
import type { DeployInput, MigratePorts, VerifiedReceipt } from "./ports.ts";
import type { StepContext, UndoContext } from "./saga.ts";
import { answerReserveMs, stopBudgetMs } from "./stop-times.ts";

type Ctx<Done = unknown, Intent = undefined> = StepContext<DeployInput, MigratePorts, Done, Intent>;
type UndoCtx<Intent = undefined> = UndoContext<
  DeployInput,
  MigratePorts,
  unknown,
  Record<string, unknown>,
  Intent
>;

/** What the stop is about, written down before it is sent. */
export interface StopIntent {
  readonly key: string;
  readonly run: Run;
  readonly epoch: number;
}

export async function chooseRun({ operation, ports, signal }: Ctx): Promise<StopIntent> {
  const { state, run, epoch } = await ports.source.status(signal);
  if (state !== "running" || run === null)
    throw new AppError(
      "wrong-state",
      `cannot stop the source ${ports.source.placement}: its agent is ${state}`,
    );
  return { key: commandKey({ operation, step: "stop", attempt: 1, run }), run, epoch };
}

export async function requestStop({ input, intent, ports, signal }: Ctx<unknown, StopIntent>): Promise<null> {
  await ports.records.mark({ stopSentAt: ports.clock.now().toISOString() });
  await ports.source.stop({ ...intent, deadlineMs: stopBudgetMs(input) }, signal);
  return null;
}

/** A message that did not come is asked for once more; silence stays unknown. */
async function receiveReceipt(
  { intent, ports, signal }: Ctx<unknown, StopIntent>,
  _asked: null,
  message: unknown,
): Promise<VerifiedReceipt> {
  const verified =
    typeof message === "string"
      ? await ports.source.verifyReceipt(message)
      : await ports.source.receipt({ key: intent.key, waitMs: answerReserveMs }, signal);
  if (verified === null)
    throw new AppError(
      "stop-unknown",
      `cannot confirm the stop: the source ${ports.source.placement} gave no receipt in time`,
    );
  const { receipt } = verified;
  if (
    receipt.key !== intent.key ||
    receipt.placement !== ports.source.placement ||
    !sameRun(receipt.run, intent.run)
  )
    throw new AppError("receipt-invalid", "cannot accept the receipt: it is about another stop");
  await ports.records.saveReceipt(verified);
  await ports.records.mark({
    exitedAt: receipt.timings.exitedAt,
    confirmedAt: ports.clock.now().toISOString(),
    applicationStopMs: receipt.timings.stopMs,
  });
  if (receipt.outcome === "refused")
    throw new AppError(
      "stop-refused",
      `cannot stop the source: the application still runs (${receipt.evidence.remaining.join(", ")})`,
    );
  if (receipt.outcome === "unknown")
    throw new AppError("stop-unknown", `cannot confirm the stop: ${receipt.evidence.remaining.join(", ")}`);
  return verified;
}

/** The agent sends the receipt by itself; its own deadline ends before this one (safety rule 14). */
export const stopConfirmation = {
  topic: ({ intent }: Ctx<unknown, StopIntent>): string => receiptTopic(intent.key),
  deadlineMs: ({ input }: Ctx<unknown, StopIntent>): number => stopBudgetMs(input) + answerReserveMs,
  settle: receiveReceipt,
};

/** The topic on which the message for a stop arrives. */
export const receiptTopic = (key: string): string => `receipt:${key}`;

/** How the source gets its application back: it was never asked, it runs, or it needs a grant (perhaps one that it already has). */
export type GiveBack =
  | { readonly kind: "untouched" }
  | { readonly kind: "serving" }
  | {
      readonly kind: "granted";
      readonly epoch: number;
      readonly grant: string;
      readonly write: LeaseWrite | null;
    };

/**
 * Looks at what became of the stop and plans the way back, before anything is done. The stop is withdrawn first, so that a request that is still
 * on its way cannot stop a source that was counted as running.
 */
export async function planGiveBack(ctx: UndoCtx): Promise<GiveBack> {
  const { intents, input, operation, ports, signal } = ctx;
  const intent = intents["stop"] as StopIntent | undefined;
  if (intent === undefined) return { kind: "untouched" };
  // A handover that was on its way may have arrived only now.
  const { view, ended } = await endTarget(ctx);
  const { lease } = view;
  if (lease.holder === ports.source.placement && lease.epoch > intent.epoch) {
    // An earlier try of this undo got this far.
    if (lease.state === "granted" && lease.grant !== null)
      return { kind: "granted", epoch: lease.epoch, grant: lease.grant, write: null };
    if (lease.state === "running") return { kind: "serving" };
  }
  const stopped = await endedStop(ports, intent, stopBudgetMs(input), signal);
  if (stopped === null) return { kind: "serving" };
  // A start beside a process that the agent did not see would be a second writer in one placement (safety rule 5).
  const witness = await ports.source.witness(signal);
  if (witness.state !== "terminated")
    throw new AppError(
      "handover-refused",
      `cannot take back the stop: the witness of ${ports.source.cluster} says ${witness.state}`,
      { meta: { witness } },
    );
  const { placement, epoch: lastEpoch, run } = stopped.receipt;
  const grant = newNonce();
  // Conditional on the ETag that was judged: it also makes a handover that is still on its way fail for good.
  const write = planLeaseChange({
    current: view,
    change: {
      kind: "grant",
      owner: ports.lease.owner,
      from: ended ?? { holder: placement, epoch: lastEpoch, run },
      holder: ports.source.placement,
      grant,
      operation,
    },
  });
  const { epoch } = write.lease;
  await ports.records.raiseEpoch(epoch);
  return { kind: "granted", epoch, grant, write };
}

/** The receipt of a stop that ended the application, or null when it runs and can no longer be stopped by this key. */
async function endedStop(
  ports: MigratePorts,
  intent: StopIntent,
  waitMs: number,
  signal: AbortSignal,
): Promise<VerifiedReceipt | null> {
  const status = await ports.source.withdraw(intent, signal);
  if ((status.state === "running" || status.state === "refused") && sameRun(status.run, intent.run))
    return null;
  const verified = await ports.source.receipt({ key: intent.key, waitMs }, signal);
  if (verified === null)
    throw new AppError(
      "stop-unknown",
      `cannot take back the stop: the source is ${status.state} and gave no receipt`,
    );
  const { outcome, evidenceClass } = verified.receipt;
  if (outcome === "refused") return null;
  if (outcome === "unknown" || evidenceClass !== "proven")
    throw new AppError(
      "stop-unknown",
      `cannot take back the stop: the source's stop was ${outcome}, ${evidenceClass}`,
    );
  return verified;
}

/** Starts the source again in place, under a higher epoch, and lets its clients in. */
export async function giveBack({
  intent,
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
    const applied = await ports.lease.apply(write, signal);
    if (applied.kind === "superseded")
      throw new AppError(
        "lease-superseded",
        "cannot take back the stop: the lease was changed meanwhile; look again",
      );
  }
  const key = commandKey({ operation, step: "start-source", attempt: epoch });
  const started = await ports.source.start({ key, epoch, grant, deadlineMs: input.readyTimeoutMs }, signal);
  await ports.records.restore(epoch);
  await ports.source.open({ epoch, run: started.run }, signal);
}
