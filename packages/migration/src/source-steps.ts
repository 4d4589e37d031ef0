import { AppError, type Receipt, type Run, commandKey, sameRun, toAppError } from "@baton/protocol";
import type { RecordedError } from "./engine.port.ts";
import type { DeployInput, SourcePorts, VerifiedReceipt } from "./ports.ts";
import type { Attempts, StepContext } from "./saga.ts";
import { answerReserveMs, stopBudgetMs } from "./stop-times.ts";

type Ctx<Done = unknown, Intent = undefined> = StepContext<DeployInput, SourcePorts, Done, Intent>;

/** What the stop is about, written down before it is sent. */
export interface StopIntent {
  readonly key: string;
  /** Of attempts before: a late one of them must not stop what was counted as running. */
  readonly earlier: readonly string[];
  readonly run: Run;
  readonly epoch: number;
}

/** How the source ended: by its receipt, or as unknown where somebody, or a fence, answers for what has no receipt. */
export interface SourceEnd {
  readonly receipt: Pick<Receipt, "placement" | "epoch" | "run" | "outcome" | "evidenceClass">;
  readonly jws: string | null;
}

export async function chooseRun(ctx: Ctx<unknown, StopIntent | undefined>): Promise<StopIntent> {
  const { operation, ports, intent: before, attempt, signal } = ctx;
  if (before !== undefined) {
    // Asked under the same key, the agent answers with the same stop; only what it refused, or lost sight of, is asked anew.
    const known = await ports.source.receipt({ key: before.key, waitMs: 0 }, signal).catch(() => null);
    if (known === null || endsRun(known.receipt)) return before;
    const key = commandKey({ operation, step: "stop", attempt, run: before.run });
    return { ...before, key, earlier: [...before.earlier, before.key] };
  }
  const { run, epoch } = await runningRun(ctx);
  return { key: commandKey({ operation, step: "stop", attempt, run }), earlier: [], run, epoch };
}

async function runningRun(
  ctx: Ctx<unknown, StopIntent | undefined>,
): Promise<Pick<StopIntent, "run" | "epoch">> {
  const { operation, input, ports, signal } = ctx;
  try {
    const { state, run, epoch } = await ports.source.status(signal);
    if (state === "running" && run !== null) return { run, epoch };
    // Records that were set back to a backup do not know that this very stop was carried out.
    if (run !== null && (await wasStoppedBefore(run))) return { run, epoch };
    throw new AppError(
      "wrong-state",
      `cannot stop the source ${ports.source.placement}: its agent is ${state}`,
    );
  } catch (error) {
    const { strategy } = input.stop;
    if (!isSilent(toAppError(error)) || (strategy !== "failover" && strategy !== "halt")) throw error;
    // Whoever answers for a source that is silent must say of which run.
    const lease = (await ports.lease.read(signal))?.lease;
    if (lease?.holder !== ports.source.placement || lease.run === null) throw error;
    return { run: lease.run, epoch: lease.epoch };
  }

  async function wasStoppedBefore(last: Run): Promise<boolean> {
    const key = commandKey({ operation, step: "stop", attempt: 1, run: last });
    const earlier = await ports.source.receipt({ key, waitMs: 0 }, signal).catch(() => null);
    return earlier !== null && endsRun(earlier.receipt);
  }
}

export async function requestStop({ input, intent, ports, signal }: Ctx<unknown, StopIntent>): Promise<null> {
  const { key, run, epoch } = intent;
  await ports.records.mark({ stopSentAt: ports.clock.now().toISOString() });
  const kill = input.stop.strategy === "force";
  await ports.source.stop({ key, run, epoch, deadlineMs: stopBudgetMs(input), kill }, signal);
  return null;
}

/** A message that did not come is asked for once more; silence stays unknown. */
async function receiveReceipt(
  { input, intent, ports, signal }: Ctx<unknown, StopIntent>,
  _asked: null,
  message: unknown,
): Promise<SourceEnd> {
  const verified = await verifiedReceipt();
  if (verified === null)
    throw new AppError(
      "stop-unknown",
      `cannot confirm the stop: the source ${ports.source.placement} gave no receipt in time`,
    );
  const { receipt } = verified;
  if (!isAboutStop(receipt))
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

  async function verifiedReceipt(): Promise<VerifiedReceipt | null> {
    const wait = (waitMs: number) => ports.source.receipt({ key: intent.key, waitMs }, signal);
    if (typeof message !== "string") return wait(answerReserveMs);
    const told = await ports.source.verifyReceipt(message);
    // The answer to an attempt before, and late: good where it says that this run has ended, else the one that is asked for counts.
    const isLate = told.receipt.key !== intent.key && isAboutStop(told.receipt);
    return isLate && !endsRun(told.receipt) ? wait(stopBudgetMs(input)) : told;
  }

  function isAboutStop({ key, placement, epoch, run }: Receipt): boolean {
    const isKnown = key === intent.key || intent.earlier.includes(key);
    const isOfSource = placement === ports.source.placement && epoch === intent.epoch;
    return isKnown && isOfSource && sameRun(run, intent.run);
  }
}

const endsRun = ({ outcome }: Receipt): boolean => outcome !== "refused" && outcome !== "unknown";

/** Nobody said what became of it. */
const isSilent = ({ code }: { readonly code: string }): boolean =>
  ["agent-unreachable", "cluster-unavailable", "stop-unknown", "deadline-exceeded"].includes(code);

/** Where it is not known how the source ended, and somebody answers for that or has it fenced: without evidence, for the handover table to judge. */
function withoutReceipt(
  { input, intent, override, ports }: Ctx<unknown, StopIntent | undefined>,
  error: RecordedError,
): SourceEnd | null {
  if (intent === undefined || !isSilent(error)) return null;
  if (input.stop.strategy !== "failover" && override === null) return null;
  const { epoch, run } = intent;
  const { placement } = ports.source;
  return { receipt: { placement, epoch, run, outcome: "unknown", evidenceClass: "unknown" }, jws: null };
}

/** What the stop's step does about a source that does not stop. */
export const stopFailure = {
  attempts: ({ stop }: DeployInput): Attempts => ({ count: stop.attempts, pauseMs: stop.pauseMs }),
  instead: withoutReceipt,
  onFailure: ({ stop }: DeployInput) => (stop.strategy === "halt" ? "halt" : "take-back"),
} as const;

/** Every receipt of the source belongs to the operation, however it ends (P4). */
export async function keepReceipt({ records, clock }: SourcePorts, verified: VerifiedReceipt): Promise<void> {
  const { timings, phases } = verified.receipt;
  const { exitedAt, receivedAt, stopMs: applicationStopMs } = timings;
  const drain = phases.find(({ phase }) => phase === "drain");
  const drainedAt =
    drain === undefined ? null : new Date(Date.parse(receivedAt) + Math.round(drain.ms)).toISOString();
  await records.saveReceipt(verified);
  await records.mark({ drainedAt, exitedAt, confirmedAt: clock.now().toISOString(), applicationStopMs });
}

/** The agent sends the receipt by itself; its own deadline ends before this one (safety rule 14). */
export const stopConfirmation = {
  topic: (): string => receiptTopic,
  deadlineMs: ({ input }: Ctx<unknown, StopIntent>): number => stopBudgetMs(input) + answerReserveMs,
  settle: receiveReceipt,
};

/**
 * The topic of an operation on which receipts arrive, of every attempt; and an abort, which is no receipt and only ends the wait.
 */
export const receiptTopic = "receipt";
