import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { toAppError } from "@baton/protocol";
import { readLease } from "@baton/storage";
import { ownerOf } from "../ports/operation-ports.ts";
import { openControlStore } from "../ports/storages.ts";
import type { LeasedApplication, PlacementRecords } from "../records/placement-records.ts";

/** All in ms. */
export interface ReconcileTimings {
  readonly readTimeout: number;
  readonly retry: number;
  /** A store that is silent for so long halts what was open: what it holds is unknown. */
  readonly giveUpAfter: number;
}

const usualTimings: ReconcileTimings = { readTimeout: 5_000, retry: 1_000, giveUpAfter: 120_000 };

export interface ReconcileParams {
  readonly placements: PlacementRecords;
  readonly installation: string;
  readonly log: Logger;
  /** Ends the comparing; what waits at the gate then waits for ever, because the next life of the process compares anew. */
  readonly signal: AbortSignal;
  readonly timings?: ReconcileTimings | undefined;
}

/** Resolves with why nothing may be done with the application, or with null once its lease agrees with the records. */
export type LeaseGate = (application: string) => Promise<string | null>;

/**
 * Compares every known lease with the records before its operations resume (safety rule 8): a lease that is newer than the records (a database
 * restored from a backup), older, missing or somebody else's halts the application, until a later start finds that they agree, or who asks. So does a store
 * that stays silent, until it answers.
 */
export async function reconcileLeases(params: ReconcileParams): Promise<LeaseGate> {
  const gates = new Map<string, Promise<string | null>>();
  for (const leased of await params.placements.leased()) {
    const { application } = leased;
    const { promise, resolve } = Promise.withResolvers<string | null>();
    gates.set(application, promise);
    void reconcile(params, leased, (reason) => {
      resolve(reason);
      gates.set(application, Promise.resolve(reason));
    });
  }
  return async (application) => {
    const reason = (await gates.get(application)) ?? null;
    if (reason === null) return null;
    // The records may have followed the lease since.
    const leased = (await params.placements.leased()).find((each) => each.application === application);
    const now = leased === undefined ? reason : await compare(params, leased).catch(() => reason);
    if (now === null) gates.set(application, Promise.resolve(null));
    return now;
  };
}

const compare = (
  { placements, installation, timings = usualTimings }: ReconcileParams,
  leased: LeasedApplication,
): Promise<string | null> =>
  contradiction(placements, leased, {
    owner: ownerOf(installation, leased.application),
    timeoutMs: timings.readTimeout,
  });

/** Goes on until the answer is definite; a silent store is an answer that may change. Never rejects. */
async function reconcile(
  params: ReconcileParams,
  leased: LeasedApplication,
  settle: (reason: string | null) => void,
): Promise<void> {
  const { placements, log, signal, timings = usualTimings } = params;
  const { application } = leased;
  const giveUpAt = performance.now() + timings.giveUpAfter;
  let said = "";
  while (!signal.aborted) {
    try {
      const reason = await compare(params, leased);
      // The gate opens before the records take new operations: one that came in between would be halted for nothing.
      if (reason === null) settle(null);
      await placements.halt(application, reason);
      if (reason !== null) log.error({ application }, reason);
      settle(reason);
      return;
    } catch (error) {
      const { code, message } = toAppError(error);
      if (message !== said && !signal.aborted)
        log.warn({ application, code }, `cannot compare the lease yet: ${message}`);
      said = message;
      if (performance.now() >= giveUpAt && !signal.aborted) {
        const reason = `the lease of ${application} could not be compared with the records: ${message}`;
        // When the database is away as well, whoever is at the gate is told at least.
        await placements.halt(application, reason).catch(() => undefined);
        settle(reason);
      }
    }
    await delay(timings.retry, undefined, { signal }).catch(() => undefined);
  }
}

async function contradiction(
  placements: Pick<PlacementRecords, "highestEpoch">,
  { application, epoch, highestEpoch, storage }: LeasedApplication,
  { owner, timeoutMs }: { readonly owner: string; readonly timeoutMs: number },
): Promise<string | null> {
  const { prefix } = storage;
  const store = await openControlStore(storage);
  const view = await readLease({ store, prefix, timeoutMs }).finally(() => store.close());
  // The first lease may have been planned and never written.
  if (view === null)
    return epoch > 0 || highestEpoch > 1 ? `the lease of ${application} is missing from the bucket` : null;
  const { lease } = view;
  if (lease.owner !== owner) return `the lease of ${application} belongs to ${lease.owner}`;
  // Looked up after the lease: another replica may be at work, and it raises this before it writes a lease.
  const known = await placements.highestEpoch(application);
  if (lease.epoch > known)
    return `the lease of ${application} has epoch ${lease.epoch}, the records know only ${known}: they are older than the lease`;
  if (lease.epoch < epoch)
    return `the lease of ${application} has epoch ${lease.epoch}, though ${epoch} was written: the bucket was set back`;
  return null;
}
