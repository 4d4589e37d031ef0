import type { Segment } from "./segment.ts";

export type LedgerCheck = {
  /** Distinct ids that the writer saw acknowledged. */
  readonly acknowledged: number;
  /** Acknowledged ids that no segment holds. */
  readonly lost: readonly string[];
  /** Ids that stand in the segments more than once. */
  readonly duplicated: readonly string[];
};

/** Compares the writer's own record with what the bucket holds. */
export function checkLedger({
  acknowledgedIds,
  segments,
}: {
  readonly acknowledgedIds: Iterable<string>;
  readonly segments: readonly Segment[];
}): LedgerCheck {
  const stored = new Set<string>();
  const duplicated = new Set<string>();
  for (const { entries } of segments) {
    for (const { id } of entries) {
      if (stored.has(id)) duplicated.add(id);
      stored.add(id);
    }
  }
  const acknowledged = new Set(acknowledgedIds);
  const lost = [...acknowledged].filter((id) => !stored.has(id));
  return { acknowledged: acknowledged.size, lost, duplicated: [...duplicated] };
}

/** One accepted data write or delete, as the store logged it. `sequence` is the store's commit order. */
export type DataWrite = { readonly sequence: number; readonly accessKeyId: string };

/** One accepted write of the lease. `holderKey` is the access key of the holder, undefined when nobody knows it. */
export type Handover = {
  readonly sequence: number;
  readonly state: "granted" | "running" | "stopped" | "fenced";
  readonly holderKey: string | undefined;
};

/**
 * Finds data writes of a writer that was not the only one. Writers are told apart by the key the store accepted, not
 * by what applications say. Both lists come in commit order.
 *
 * Always: a writer that another one has followed may write again only after a later lease write let it (granted or
 * running); else each such write is overlapping. With `strict`, when the move went through Baton: a write is also
 * overlapping unless the latest lease write before it names its key with state "running".
 */
export function findOverlaps<Write extends DataWrite>({
  commits,
  handovers,
  strict,
}: {
  readonly commits: readonly Write[];
  readonly handovers: readonly Handover[];
  readonly strict: boolean;
}): { readonly overlapping: readonly Write[] } {
  const firstWriteOf = new Map<string, number>();
  const lastWriteOf = new Map<string, number>();
  const lastPermitOf = new Map<string, number>();
  let lease: Handover | undefined;
  let next = 0;

  const overlapping = commits.filter(({ sequence, accessKeyId }) => {
    for (; (handovers[next]?.sequence ?? Infinity) < sequence; next += 1) {
      lease = handovers[next];
      if (lease?.holderKey !== undefined && (lease.state === "granted" || lease.state === "running"))
        lastPermitOf.set(lease.holderKey, lease.sequence);
    }
    const others = [...lastWriteOf].filter(([key]) => key !== accessKeyId).map(([, at]) => at);
    const lastOfOthers = Math.max(...others, -Infinity);
    const wasFollowed = (firstWriteOf.get(accessKeyId) ?? Infinity) < lastOfOthers;
    if (!firstWriteOf.has(accessKeyId)) firstWriteOf.set(accessKeyId, sequence);
    lastWriteOf.set(accessKeyId, sequence);

    const stale = wasFollowed && (lastPermitOf.get(accessKeyId) ?? -Infinity) < lastOfOthers;
    const unheld = lease?.state !== "running" || lease.holderKey !== accessKeyId;
    return stale || (strict && unheld);
  });
  return { overlapping };
}
