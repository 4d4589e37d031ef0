import { AppError } from "@baton/protocol";
import { type HandoverDecision, type HandoverEvidence, decideHandover, noFence } from "./handover-table.ts";
import type { DeployInput, SourcePorts, VerifiedReceipt } from "./ports.ts";
import type { StepContext } from "./saga.ts";
import { patientMs } from "./stop-times.ts";

type Ctx<Intent = undefined> = StepContext<DeployInput, SourcePorts, { stop: VerifiedReceipt }, Intent>;

/** Whether the source's key is to be taken away; its doors were seen open then. */
export interface PlannedFence {
  readonly isNeeded: boolean;
}

/** On top of the store's settle time: every endpoint must refuse, and what had begun before must have ended. */
const fenceReserveMs = 480_000;
export const fenceMs = (input: DeployInput): number => patientMs(input) + fenceReserveMs;

/** Written down before anything is disabled: a key that is refused afterwards proves something only if it was let in before. */
export async function planFence(ctx: Ctx): Promise<PlannedFence> {
  const { fence, source } = ctx.ports;
  // Without one there is nothing to plan, and the witness is asked while the store settles.
  if (fence === null) return { isNeeded: false };
  const witness = (await source.witness(ctx.signal)).state;
  if (decide(ctx, { witness }).kind === "pass") return { isNeeded: false };
  assertPasses(ctx, decide(ctx, { witness, fence: "credentials" }), witness);
  await fence.assertOpen(ctx.done.stop.receipt, ctx.signal);
  return { isNeeded: true };
}

/** By the handover table, with the store's settle time; there is no other way past this step. */
export async function fenceSource(ctx: Ctx<PlannedFence>): Promise<null> {
  const { input, ports, done, intent, signal } = ctx;
  const { fence } = ports;
  if (intent.isNeeded && fence !== null) {
    const record = await fence.apply(done.stop.receipt, signal);
    const witness = (await ports.source.witness(signal)).state;
    const possibleLoss = assertPasses(ctx, decide(ctx, { witness, fence: "credentials" }), witness);
    await ports.records.saveFence(record, possibleLoss);
  } else {
    const [witness] = await Promise.all([
      ports.source.witness(signal),
      ports.clock.wait(input.settleMs, signal),
    ]);
    assertPasses(ctx, decide(ctx, { witness: witness.state }), witness.state);
  }
  await ports.records.mark({ fencedAt: ports.clock.now().toISOString() });
  return null;
}

const decide = (
  { done }: Pick<Ctx, "done">,
  seen: Pick<HandoverEvidence, "witness"> & Partial<Pick<HandoverEvidence, "fence">>,
): HandoverDecision => decideHandover({ ...done.stop.receipt, ...noFence, ...seen });

/** @returns whether acknowledged writes may be lost. */
function assertPasses(
  { input }: Pick<Ctx, "input">,
  decision: HandoverDecision,
  witness: HandoverEvidence["witness"],
): boolean {
  if (decision.kind === "pass") return decision.possibleLoss;
  throw new AppError("handover-refused", `cannot hand over ${input.application}: ${decision.reason}`, {
    meta: { witness },
  });
}
