import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { toAppError } from "@baton/protocol";
import { readLease } from "@baton/storage";
import { ownerOf } from "../ports/operation-ports.ts";
import { openControlStore } from "../ports/storages.ts";
import type { LeasedApplication, PlacementRecords } from "../records/placement-records.ts";

const readTimeoutMs = 5_000;
const retryMs = 1_000;
/** A store that is silent for so long halts what was open: what it holds is unknown. */
const giveUpAfterMs = 120_000;

export interface ReconcileParams {
  readonly placements: PlacementRecords;
  readonly installation: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Resolves with why nothing may be done with the application, or with null once its lease agrees with the records. */
export type LeaseGate = (application: string) => Promise<string | null>;

/**
 * Compares every known lease with the records before its operations resume (safety rule 8): a lease that is newer than the records (a database
 * restored from a backup), missing or somebody else's halts the application.
 */
export async function reconcileLeases(params: ReconcileParams): Promise<LeaseGate> {
  const gates = new Map<string, Promise<string | null>>();
  for (const leased of await params.placements.leased())
    gates.set(leased.application, reconcile(params, leased));
  return async (application) => (await gates.get(application)) ?? null;
}

async function reconcile(params: ReconcileParams, leased: LeasedApplication): Promise<string | null> {
  const { placements, log, signal } = params;
  const { application } = leased;
  for (const giveUpAt = performance.now() + giveUpAfterMs; performance.now() < giveUpAt && !signal.aborted;) {
    try {
      const reason = await contradiction(leased, ownerOf(params.installation, application));
      await placements.halt(application, reason);
      if (reason !== null) log.error({ application }, reason);
      return reason;
    } catch (error) {
      const { code, message } = toAppError(error);
      log.warn({ application, code }, `cannot compare the lease yet: ${message}`);
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return `the lease of ${application} could not be compared with the records: the storage did not answer`;
}

async function contradiction(leased: LeasedApplication, owner: string): Promise<string | null> {
  const { application, epoch, highestEpoch, storage } = leased;
  const view = await readLease({
    store: await openControlStore(storage),
    prefix: storage.prefix,
    timeoutMs: readTimeoutMs,
  });
  // The first lease may have been planned and never written.
  if (view === null)
    return epoch > 0 || highestEpoch > 1 ? `the lease of ${application} is missing from the bucket` : null;
  if (view.lease.owner !== owner) return `the lease of ${application} belongs to ${view.lease.owner}`;
  if (view.lease.epoch > highestEpoch)
    return `the lease of ${application} has epoch ${view.lease.epoch}, the records know only ${highestEpoch}: they are older than the lease`;
  return null;
}
