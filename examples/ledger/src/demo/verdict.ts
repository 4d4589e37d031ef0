import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Operation } from "@baton/protocol";
import { checkLedger, findOverlaps } from "../checker.ts";
import { type Acknowledgement, readRecordFile } from "../record-file.ts";
import { readLedgerFromStore } from "../store-reader.ts";
import { type Harbour, bucket, prefix } from "./harbour.ts";

/** What the demo ends with; `--json` prints it as its last line. */
export interface Verdict {
  readonly outcome: "committed" | "rolled-back" | "halted";
  readonly entriesAcknowledged: number;
  /** Acknowledged and not yet in the bucket when the application was told to stop. */
  readonly entriesUnflushedAtStop: number | null;
  readonly entriesLost: number;
  readonly entriesDuplicated: number;
  /** Writes that the store took from somebody who was not the one writer then. */
  readonly overlappingWriters: number;
  /** From sending the stop to the first entry acknowledged afterwards; null when no stop is known to have ended it. */
  readonly downtimeMs: number | null;
  readonly appStopMs: number | null;
  readonly appStartMs: number | null;
  readonly steps: readonly { readonly name: string; readonly state: string; readonly ms: number | null }[];
  readonly epochBefore: number | null;
  readonly epochAfter: number | null;
  readonly receipt: { readonly outcome: string; readonly evidenceClass: string } | null;
  readonly orchestratorKills: number;
  readonly reason: string | null;
}

/** Which cluster's key a placement writes with, to read the lease's holders in the store's log. */
export type KeyOf = (placement: string) => string | undefined;

/** Judges by the writer's own record and the store's own log; nobody who took part is asked. */
export async function inspectStore(harbour: Harbour, recordFile: string, keyOf: KeyOf, byLease: boolean) {
  const stored = await readLedgerFromStore({ directory: harbour.storeDirectory, bucket, prefix, keyOf });
  const acknowledgements = await readRecordFile(recordFile);
  const ledger = checkLedger({
    acknowledgedIds: acknowledgements.map(({ id }) => id),
    segments: stored.segments,
  });
  const { overlapping } = findOverlaps({ ...stored, strict: byLease });
  return { ...ledger, overlapping: overlapping.length, acknowledgements };
}

export async function judgeOperation(
  harbour: Harbour,
  {
    operation,
    recordFile,
    keyOf,
  }: { readonly operation: Operation; readonly recordFile: string; readonly keyOf: KeyOf },
): Promise<Verdict> {
  const seen = await inspectStore(harbour, recordFile, keyOf, true);
  const { ledger } = operation;
  return {
    outcome: operation.state === "open" ? "halted" : operation.state,
    entriesAcknowledged: seen.acknowledged,
    entriesUnflushedAtStop: await unflushedAtStop(harbour, operation),
    entriesLost: seen.lost.length,
    entriesDuplicated: seen.duplicated.length,
    overlappingWriters: seen.overlapping,
    // Without the exit nobody knows which acknowledgement was the next one's.
    downtimeMs:
      ledger.stopSentAt === null || ledger.exitedAt === null
        ? null
        : downtime(seen.acknowledgements, ledger.stopSentAt, ledger.exitedAt),
    appStopMs: ledger.applicationStopMs,
    appStartMs: ledger.applicationStartMs,
    steps: operation.steps.map(({ name, state, ms }) => ({ name, state, ms })),
    epochBefore: operation.epochBefore,
    epochAfter: operation.epochAfter,
    receipt:
      operation.receipt === null
        ? null
        : { outcome: operation.receipt.outcome, evidenceClass: operation.receipt.evidenceClass },
    orchestratorKills: harbour.kills(),
    reason: operation.reason,
  };
}

/** After the old process has exited, whatever is acknowledged comes from the next one. */
export function downtime(
  acknowledgements: readonly Acknowledgement[],
  stopSentAt: string,
  exitedAt: string,
): number | null {
  const exited = Date.parse(exitedAt);
  const next = Math.min(...acknowledgements.filter(({ at }) => at > exited).map(({ at }) => at));
  return Number.isFinite(next) ? next - Date.parse(stopSentAt) : null;
}

/** What the application said when SIGTERM reached it. */
async function unflushedAtStop(harbour: Harbour, { from, source }: Operation): Promise<number | null> {
  if (from === null || source === null) return null;
  for (const place of ["placements", "removed"]) {
    const log = await readFile(
      join(harbour.directory, from, place, source, "state", "application.log"),
      "utf8",
    ).catch(() => "");
    const line = log.split("\n").find((text) => text.includes('"event":"stopping"'));
    if (line !== undefined) return (JSON.parse(line) as { unflushed: number }).unflushed;
  }
  return null;
}
