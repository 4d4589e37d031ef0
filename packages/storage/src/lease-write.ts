import { AppError, newNonce, parseAs } from "@baton/protocol";
import { type Clock, systemClock } from "./clock.ts";
import { untilDefinite } from "./definite.ts";
import {
  type Lease,
  type LeaseChange,
  type WriteStamp,
  historyLength,
  isInEffect,
  leaseKey,
  leaseSchema,
  nextLease,
} from "./lease.ts";
import type { ObjectStore, PutCondition } from "./object-store.port.ts";

/** A lease as it is in the store. */
export interface LeaseView {
  readonly lease: Lease;
  readonly etag: string;
}

/** One conditional write, to be recorded before it is sent (rule 7). Plain JSON. */
export interface LeaseWrite {
  readonly key: string;
  /** Null: there must be no lease yet. */
  readonly expectedEtag: string | null;
  readonly nonce: string;
  /** The bytes to write: the lease as JSON. */
  readonly body: string;
  readonly lease: Lease;
}

export type LeaseWriteResult =
  /** The write was taken; `etag` is null when later writes came after it. */
  | { readonly kind: "applied"; readonly etag: string | null }
  /**
   * The write cannot be taken any more: somebody else's came. `wasTaken` is null when so many changes followed that nobody can tell whether it
   * had been (of a renewal nobody ever can); then only the lease itself says what is.
   */
  | { readonly kind: "superseded"; readonly wasTaken: false | null; readonly current: LeaseView };

/**
 * The lease of a prefix, or null when the store says that there is none.
 *
 * @throws AppError `lease-mismatch` when what is there is not a lease of this prefix; everything that `ObjectStore.get` throws.
 */
export async function readLease(params: {
  readonly store: ObjectStore;
  readonly prefix: string;
  readonly timeoutMs: number;
}): Promise<LeaseView | null> {
  const view = await readAt(params.store, leaseKey(params.prefix), params.timeoutMs);
  if (view !== null && view.lease.prefix !== params.prefix)
    throw new AppError(
      "lease-mismatch",
      `cannot use the lease of "${params.prefix}": the object says that it is the lease of "${view.lease.prefix}"; find out who copied it`,
    );
  return view;
}

/** The write that would make `change` true, if `current` is still what is there. Throws what {@link nextLease} throws. */
export function planLeaseChange(params: {
  readonly current: LeaseView | null;
  readonly change: LeaseChange;
  readonly nonce?: string | undefined;
  readonly at?: string | undefined;
}): LeaseWrite {
  const nonce = params.nonce ?? newNonce();
  const at = params.at ?? new Date().toISOString();
  const lease = nextLease(params.current?.lease ?? null, params.change, { nonce, at });
  const expectedEtag = params.current?.etag ?? null;
  return { key: leaseKey(lease.prefix), expectedEtag, nonce, body: JSON.stringify(lease), lease };
}

/**
 * Sends a planned write until it is certain whether it was taken. May be called again with the same write at any later time,
 * by anybody: the same bytes on the same ETag have their effect at most once.
 *
 * After an unclear answer it does not look and decide, because the lost write may still arrive: it sends the very same write again, and
 * only a refusal, which proves that the expected ETag is gone for good, lets it look whose write took its place.
 *
 * @throws AppError `storage-unclear` when the deadline passes; `lease-missing` when a known lease is gone; `lease-mismatch` when there is
 * something else; what `ObjectStore` throws at once for a missing bucket or wrong keys. No error says that the write was not taken.
 */
export async function applyLeaseWrite(params: {
  readonly store: ObjectStore;
  readonly write: LeaseWrite;
  readonly deadlineMs: number;
  readonly clock?: Clock | undefined;
}): Promise<LeaseWriteResult> {
  const { store, write } = params;
  const { key, body, expectedEtag } = write;
  const condition: PutCondition =
    expectedEtag === null ? { kind: "absent" } : { kind: "match", etag: expectedEtag };

  return untilDefinite(params, `write the lease ${key}`, async (timeoutMs) => {
    const put = await store.put({ key, body, condition, timeoutMs: timeoutMs() });
    if (put.kind === "stored") return { kind: "applied", etag: put.etag };
    const current = await readAt(store, key, timeoutMs());
    if (current === null && expectedEtag !== null)
      throw new AppError(
        "lease-missing",
        `cannot write the lease ${key}: it was there and is gone; find out who removed it before anything is started`,
      );
    // A 409 only says that another write was under way; if that one failed, the expected state still stands.
    if (current === null || current.etag === expectedEtag) return "again";
    if (current.lease.nonce === write.nonce) return { kind: "applied", etag: current.etag };
    if (current.lease.history.includes(write.nonce)) return { kind: "applied", etag: null };
    return { kind: "superseded", wasTaken: wouldRemember(current.lease, write) ? false : null, current };
  });
}

/**
 * Reads, plans and applies; when somebody else's write came first, looks again and tries as long as the change is still
 * allowed. Asking again for a change that is in effect already (see {@link isInEffect}) succeeds and writes nothing.
 *
 * @returns the lease after the change, or as it is now when later writes came after it.
 * @throws AppError what {@link nextLease} and {@link applyLeaseWrite} throw; `lease-superseded` when a run was written and overtaken at once:
 * it must not be started; `deadline-exceeded` when others changed the lease all the time (nothing was written).
 */
export async function changeLease(params: {
  readonly store: ObjectStore;
  readonly prefix: string;
  readonly change: LeaseChange;
  /** The lease as the caller saw it last: spares the first look. When others changed it since, the write is refused, and that is seen then. */
  readonly known?: LeaseView | null | undefined;
  readonly deadlineMs: number;
  readonly clock?: Clock | undefined;
  /** Called once for every write. */
  readonly stamp?: (() => WriteStamp) | undefined;
}): Promise<LeaseView> {
  const { store, prefix, change, known = null, deadlineMs, clock = systemClock, stamp } = params;
  const end = clock.nowMs() + deadlineMs;
  const left = (): number => Math.max(1, end - clock.nowMs());
  const read = (): Promise<LeaseView | null> =>
    untilDefinite({ deadlineMs: left(), clock }, `read the lease of "${prefix}"`, (timeoutMs) =>
      readLease({ store, prefix, timeoutMs: timeoutMs() }),
    );

  // What was seen a while ago is no answer: only a write finds out whether it still is.
  let current = known === null || isInEffect(known.lease, change) ? await read() : known;
  for (;;) {
    if (current !== null && isInEffect(current.lease, change)) return current;
    const write = planLeaseChange({ current, change, ...stamp?.() });
    const result = await applyLeaseWrite({ store, write, deadlineMs: left(), clock });
    if (result.kind === "applied")
      return result.etag === null
        ? overtaken(await read(), change)
        : { lease: write.lease, etag: result.etag };
    if (clock.nowMs() >= end)
      throw new AppError(
        "deadline-exceeded",
        `cannot ${change.kind} the lease of "${prefix}": others changed it all the time, for ${deadlineMs} ms; try again`,
      );
    current = result.current;
  }
}

/** Whether the lease would have the write in its history, had it been taken: all of it is there, or something that is older than the write. */
function wouldRemember({ history }: Lease, write: LeaseWrite): boolean {
  const older = write.lease.history.slice(0, -1);
  const isKept = write.lease.history.at(-1) === write.nonce;
  return isKept && (history.length < historyLength || older.some((nonce) => history.includes(nonce)));
}

function overtaken(view: LeaseView | null, change: LeaseChange): LeaseView {
  if (view === null || change.kind === "run" || change.kind === "restart")
    throw new AppError(
      view === null ? "lease-missing" : "lease-superseded",
      `cannot ${change.kind} the lease: the write was taken, but somebody ${view === null ? "removed" : "changed"} the lease right after it; do not start`,
    );
  return view;
}

async function readAt(store: ObjectStore, key: string, timeoutMs: number): Promise<LeaseView | null> {
  const object = await store.get({ key, timeoutMs });
  if (object === null) return null;
  let content: unknown;
  try {
    content = JSON.parse(Buffer.from(object.body).toString("utf8"));
  } catch {
    content = undefined;
  }
  return { lease: parseAs(leaseSchema, content, `the lease ${key}`, "lease-mismatch"), etag: object.etag };
}
