import { AppError, type FenceRecord, type Run } from "@baton/protocol";
import { type HandoverDecision, type HandoverEvidence, decideHandover } from "./handover-table.ts";
import type { DeployInput, FencePort, SourcePorts } from "./ports.ts";
import type { StepContext } from "./saga.ts";
import type { SourceEnd } from "./source-steps.ts";
import { patientMs } from "./stop-times.ts";

type Ctx<Intent = undefined> = StepContext<DeployInput, SourcePorts, { stop: SourceEnd }, Intent>;
type Witnessed = HandoverEvidence["witness"];

/** Whether the source's key is to be taken away; its doors were seen open then. */
export interface PlannedFence {
  readonly isNeeded: boolean;
  /**
   * Where there is no receipt, the run that the lease names before anybody looks what lives, or which was to be stopped. Journals of earlier versions may
   * have none.
   */
  readonly run?: Run | null | undefined;
}

/** What may pass on from here. */
export interface Fenced {
  /**
   * Neither a receipt nor a fence covers it: somebody answers for this run and those before it, never for one that starts later. Null: the receipt's
   * run, or every run of what was fenced.
   */
  readonly answeredFor: PlannedFence["run"];
}

/** On top of the store's settle time: every endpoint must refuse, and what had begun before must have ended. */
const fenceReserveMs = 480_000;
export const fenceMs = (input: DeployInput): number => patientMs(input) + fenceReserveMs;

/** Written down before anything is disabled: a key that is refused afterwards proves something only if it was let in before. */
export async function planFence(ctx: Ctx): Promise<PlannedFence> {
  const { lease, fence } = ctx.ports;
  const { jws, receipt } = ctx.done.stop;
  const named = jws === null ? (await lease.read(ctx.signal))?.lease.run : receipt.run;
  const run = named ?? receipt.run;
  // Without one there is nothing to plan, and the witness is asked while the store settles.
  if (fence === null) return { isNeeded: false, run };
  const witness = await lookFromOutside(ctx);
  if (decide(ctx, { witness, override: null }).kind === "pass") return { isNeeded: false, run };
  assertPasses(ctx, decide(ctx, { witness, fence: "credentials" }), witness);
  try {
    await fence.assertOpen(receipt, ctx.signal);
  } catch (error) {
    if (ctx.override === null) throw error;
    return { isNeeded: false, run };
  }
  return { isNeeded: true, run };
}

/** By the handover table, with the store's settle time; there is no other way past this step. */
export async function fenceSource(ctx: Ctx<PlannedFence>): Promise<Fenced> {
  const { input, ports, done, intent, signal } = ctx;
  const { fence: keys } = ports;
  const record = intent.isNeeded && keys !== null ? await takeKeyAway(ctx, keys) : null;
  const [witness] = await Promise.all([
    lookFromOutside(ctx),
    record === null ? ports.clock.wait(input.settleMs, signal) : null,
  ]);
  const fence = record === null ? null : "credentials";
  const possibleLoss = assertPasses(ctx, decide(ctx, { witness, fence }), witness);
  if (record !== null || possibleLoss) await ports.records.saveFence(record, possibleLoss);
  await ports.records.mark({ fencedAt: ports.clock.now().toISOString() });
  return { answeredFor: record === null && done.stop.jws === null ? intent.run : null };
}

/** Null where it could not be proven and somebody answers for what a fence would have shown. */
async function takeKeyAway(
  { done, override, signal }: Ctx<PlannedFence>,
  fence: FencePort,
): Promise<FenceRecord | null> {
  try {
    return await fence.apply(done.stop.receipt, signal);
  } catch (error) {
    if (override === null) throw error;
    return null;
  }
}

/** A cluster that does not answer says nothing: enough only where something else counts. */
async function lookFromOutside({ input, ports, override, signal }: Ctx<unknown>): Promise<Witnessed> {
  try {
    return (await ports.source.witness(signal)).state;
  } catch (error) {
    if (input.stop.strategy !== "failover" && override === null) throw error;
    return "unknown";
  }
}

const decide = (
  { done, input, override }: Ctx<unknown>,
  seen: Pick<HandoverEvidence, "witness"> & Partial<Pick<HandoverEvidence, "fence" | "override">>,
): HandoverDecision =>
  decideHandover({
    ...done.stop.receipt,
    fence: null,
    strategy: input.stop.strategy === "failover" ? "failover" : "migrate",
    override: override?.by ?? null,
    ...seen,
  });

/** @returns whether acknowledged writes may be lost. */
function assertPasses(
  { input }: Pick<Ctx, "input">,
  decision: HandoverDecision,
  witness: Witnessed,
): boolean {
  if (decision.kind === "pass") return decision.possibleLoss;
  throw new AppError("handover-refused", `cannot hand over ${input.application}: ${decision.reason}`, {
    meta: { witness },
  });
}
