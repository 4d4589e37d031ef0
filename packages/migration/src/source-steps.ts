import { AppError, type Run, commandKey, sameRun } from "@baton/protocol";
import type { DeployInput, SourcePorts, VerifiedReceipt } from "./ports.ts";
import type { StepContext } from "./saga.ts";
import { answerReserveMs, stopBudgetMs } from "./stop-times.ts";

type Ctx<Done = unknown, Intent = undefined> = StepContext<DeployInput, SourcePorts, Done, Intent>;

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
  await keepReceipt(ports, verified);
  if (receipt.outcome === "refused")
    throw new AppError(
      "stop-refused",
      `cannot stop the source: the application still runs (${receipt.evidence.remaining.join(", ")})`,
    );
  if (receipt.outcome === "unknown")
    throw new AppError("stop-unknown", `cannot confirm the stop: ${receipt.evidence.remaining.join(", ")}`);
  return verified;
}

/** Every receipt of the source belongs to the operation, however it ends (P4). */
export async function keepReceipt({ records, clock }: SourcePorts, verified: VerifiedReceipt): Promise<void> {
  const { exitedAt, stopMs } = verified.receipt.timings;
  await records.saveReceipt(verified);
  await records.mark({ exitedAt, confirmedAt: clock.now().toISOString(), applicationStopMs: stopMs });
}

/** The agent sends the receipt by itself; its own deadline ends before this one (safety rule 14). */
export const stopConfirmation = {
  topic: ({ intent }: Ctx<unknown, StopIntent>): string => receiptTopic(intent.key),
  deadlineMs: ({ input }: Ctx<unknown, StopIntent>): number => stopBudgetMs(input) + answerReserveMs,
  settle: receiveReceipt,
};

/** The topic on which the message for a stop arrives. */
export const receiptTopic = (key: string): string => `receipt:${key}`;
