import {
  type AgentStatus,
  AppError,
  type Decision,
  type Outcome,
  type Receipt,
  type Run,
  commandKey,
  sameRun,
} from "@baton/protocol";
import type { LeaseView } from "@baton/storage";
import { decideHandover, noFence } from "./handover-table.ts";
import type { DeployInput, DeployPorts } from "./ports.ts";
import type { UndoContext } from "./saga.ts";
import { answerReserveMs, stopBudgetMs } from "./stop-times.ts";

export type UndoCtx = UndoContext<DeployInput, DeployPorts, unknown, Record<string, unknown>>;

/** The lease that was judged, and what of the target's ended for good; null where the lease is not the target's. */
export interface TargetEnd {
  readonly view: LeaseView;
  readonly ended: { readonly holder: string; readonly epoch: number; readonly run: Run | null } | null;
}

/**
 * After this the target neither runs nor can start with what it was given: it stopped with proof, or it burned its grant.
 *
 * @param before the last run of a target that had run before it was given anything.
 */
export async function endTarget(
  { operation, input, ports, override, signal }: UndoCtx,
  before: Run | null = null,
): Promise<TargetEnd> {
  const view = await knownLease(ports, signal);
  const { epoch, grant, holder, run: lastRun } = view.lease;
  if (holder !== ports.target.placement) return { view, ended: null };
  // An agent that did not hear the store's answer counts the grant as used, whatever the lease says: then its run is stopped, not the grant burned.
  const known = grant === null ? lastRun : (await ports.target.status(signal)).run;
  const run = grant !== null && sameRun(known, before) ? null : known;
  if (run !== null) {
    const key = commandKey({ operation, step: "stop-target", attempt: 1, run });
    const deadlineMs = stopBudgetMs(input);
    await ports.target.stop({ key, epoch, run, deadlineMs }, signal);
    const answer = await ports.target.receipt({ key, waitMs: deadlineMs + answerReserveMs }, signal);
    await assertEnded(ports, answer?.receipt, override, signal);
  } else if (grant !== null) {
    const key = commandKey({ operation, step: "burn", attempt: epoch });
    await ports.target.burn({ key, epoch, grant }, signal);
  }
  return { view: await knownLease(ports, signal), ended: { holder, epoch, run } };
}

const unclean: readonly Outcome[] = ["forced", "crashed-during-stop"];

/** By its agent, which saw that nothing of its last run is left. */
export const isAtRest = ({ state }: Pick<AgentStatus, "state">): boolean =>
  state === "stopped" || state === "crashed";

export async function knownLease(
  { lease }: Pick<DeployPorts, "lease">,
  signal: AbortSignal,
): Promise<LeaseView> {
  const view = await lease.read(signal);
  if (view === null)
    throw new AppError("lease-missing", "cannot take back: the lease is missing from the bucket");
  return view;
}

/**
 * Taking back is a handover too and passes the same table (safety rule 5), whatever the lease says by now. One difference: a target that ended
 * by itself was never open to clients, so nothing that was acknowledged is lost with it.
 */
async function assertEnded(
  ports: DeployPorts,
  receipt: Receipt | undefined,
  override: Decision | null,
  signal: AbortSignal,
): Promise<void> {
  if (receipt === undefined)
    throw new AppError(
      "stop-unknown",
      `cannot take back the start: the target ${ports.target.placement} gave no receipt`,
    );
  const outcome: Outcome = receipt.outcome === "already-stopped" ? "graceful" : receipt.outcome;
  const witness = await ports.target.witness(signal);
  // It is gone for certain, and no client ever saw it: somebody may answer for what it had sent and the store did not take yet.
  const isGone = receipt.evidenceClass === "proven" && witness.state === "terminated";
  if (override !== null && isGone && unclean.includes(outcome)) return;
  const decision = decideHandover({
    ...receipt,
    outcome,
    witness: witness.state,
    ...noFence,
    override: override?.by ?? null,
  });
  if (decision.kind === "refuse")
    throw new AppError("handover-refused", `cannot take back the start: ${decision.reason}`, {
      meta: { witness },
    });
}
