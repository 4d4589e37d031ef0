import type { AgentStatus, Outcome } from "@baton/protocol";
import type { Ending, OperationRecord } from "./facts.ts";
import type { Finisher } from "./finish-operation.ts";

/** What the agent counts as it goes; since the start of this life. */
export interface Metrics {
  /** A command was refused with that code of the error table. */
  refused(code: string): void;
  /** A renewal of the lease, as the holder saw it; `lost`: the store answered, and names somebody else. */
  renewed(result: "renewed" | "failed" | "lost"): void;
  /** Counts what passes: one for all that joined the same stop. */
  countStops(finisher: Finisher): Finisher;
  readonly counts: Counts;
}

export interface Counts {
  readonly refusals: ReadonlyMap<string, number>;
  readonly renewals: Readonly<Record<"renewed" | "failed" | "lost", number>>;
  readonly lastRenewal: "renewed" | "failed" | "lost" | null;
  readonly stops: ReadonlyMap<Outcome, number>;
  /** Of the last stop; null when this life saw none. */
  readonly lastStop: Ending | null;
}

/** The part of the status that costs nothing to know. */
export type Snapshot = Pick<AgentStatus, "state" | "epoch" | "ready" | "open">;

export function createMetrics(): Metrics {
  const refusals = new Map<string, number>();
  const renewals = { renewed: 0, failed: 0, lost: 0 };
  const stops = new Map<Outcome, number>();
  const counted = new WeakSet<Ending>();
  let lastRenewal: Counts["lastRenewal"] = null;
  let lastStop: Ending | null = null;

  const stopped = ({ kind, late }: OperationRecord, ending: Ending): void => {
    if (kind !== "stop" || late || counted.has(ending)) return;
    counted.add(ending);
    stops.set(ending.outcome, (stops.get(ending.outcome) ?? 0) + 1);
    lastStop = ending;
  };

  return {
    refused: (code) => void refusals.set(code, (refusals.get(code) ?? 0) + 1),
    renewed(result) {
      renewals[result] += 1;
      lastRenewal = result;
    },
    countStops: (finisher) => ({
      ...finisher,
      async finish(record, ending, untilAt) {
        stopped(record, ending);
        await finisher.finish(record, ending, untilAt);
      },
    }),
    counts: {
      refusals,
      renewals,
      stops,
      get lastRenewal() {
        return lastRenewal;
      },
      get lastStop() {
        return lastStop;
      },
    },
  };
}
