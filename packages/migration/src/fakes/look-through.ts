import { toAppError } from "@baton/protocol";
import type { LeasePort, PlacementPort } from "../ports.ts";
import type { PreflightFacts, Seen } from "../preflight/facts.ts";
import { valueOf } from "../preflight/rule.ts";
import { fineMove, known, unknown, witness as seenRunning } from "./fine-facts.ts";

export interface LookThroughParams {
  readonly kind: string;
  readonly application: string;
  /** Null where the operation finds none. */
  readonly source: Pick<PlacementPort, "placement" | "cluster" | "status" | "witness"> | null;
  readonly isResting: boolean;
  readonly target: Pick<PlacementPort, "cluster"> | null;
  readonly lease: Pick<LeasePort, "owner" | "read">;
  readonly highestEpoch: number;
  readonly hasFence: boolean;
}

const see = <T>(what: Promise<T>): Promise<Seen<T>> =>
  what.then(known, (error: unknown) => unknown(toAppError(error).message));

/** What a preflight sees through an operation's own ports; all else is as it must be. */
export async function lookThrough(params: LookThroughParams, signal: AbortSignal): Promise<PreflightFacts> {
  const { kind, application, source, isResting, target, lease, highestEpoch, hasFence } = params;
  const [status, held, witness] = await Promise.all([
    source === null ? unknown("") : see(source.status(signal)),
    see(lease.read(signal).then((view) => view?.lease ?? null)),
    // Whether it can be seen later is another matter, but for what does not run it is looked at now.
    source !== null && isResting ? see(source.witness(signal)) : known(seenRunning),
  ]);
  const { records, orchestrator } = fineMove;
  const manifest = { ...records.manifest, name: application };
  const at = { ...fineMove.source, placement: source?.placement ?? "", cluster: source?.cluster ?? "" };
  return {
    ...fineMove,
    request: { ...fineMove.request, kind, application },
    records: {
      ...records,
      manifest,
      declared: { ...records.declared, manifest },
      owner: lease.owner,
      epoch: 0,
      highestEpoch,
    },
    source: source === null ? null : { ...at, expected: isResting ? "resting" : "serving", status, witness },
    target: target === null ? null : { ...fineMove.target, cluster: target.cluster },
    storage: { ...fineMove.storage, lease: held },
    fence: hasFence ? { knowsSourceKey: known(true) } : null,
    orchestrator: { ...orchestrator, version: valueOf(status)?.agentVersion ?? orchestrator.version },
  };
}
