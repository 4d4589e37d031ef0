import {
  type AccessKey,
  type Adoption,
  type AdoptionRequest,
  AppError,
  type StorageManifest,
  sameRun,
} from "@baton/protocol";
import { type LeaseView, adoptClaim, applyLeaseWrite, planLeaseChange, readLease } from "@baton/storage";
import type { ForeignKeys } from "../ports/foreign-keys.ts";
import { readAccessKey } from "../ports/secrets.ts";
import { openControlStore } from "../ports/storages.ts";
import type { AdoptionRecords, OpenAdoption, PlannedAdoption } from "../records/adoption-records.ts";

const readMs = 5_000;
const writeMs = 15_000;

/**
 * Takes on the lease of another owner (safety rule 9): every key of the writer that is there is taken away, with proof, and only then the lease becomes ours by one
 * conditional write, fenced, in the next epoch. Killed at any point it is asked for again and goes on. The keys stay disabled whatever comes of it.
 *
 * @param params.keys null where the storage has no fence that can take such keys away.
 * @throws `lease-missing` where there is nothing to adopt; `lease-mismatch` where the lease is ours; `fence-unproven`; `lease-superseded` when it changed meanwhile.
 */
export async function adoptLease(params: {
  readonly storage: StorageManifest;
  readonly owner: string;
  readonly request: AdoptionRequest;
  readonly by: string;
  readonly keys: ForeignKeys | null;
  readonly records: Pick<AdoptionRecords, "begin" | "saveOpened" | "savePlan" | "end">;
}): Promise<Adoption> {
  const { storage, owner, request, by, keys, records } = params;
  const { application, reason } = request;
  const { name, prefix } = storage;
  if (keys === null)
    throw new AppError(
      "fence-unproven",
      `cannot adopt the lease of storage "${name}": nothing here can take the keys of its writer away, as the storage has no fence that can; add one, or stop that writer and delete the application where it is`,
    );
  const pairs = await Promise.all(request.writers.map(readAccessKey));
  const store = await openControlStore(storage);
  try {
    const adoption = await records.begin({ storage: name, application, by, reason });
    const { id } = adoption;
    const planned = await planAdoption({ ...params, keys, store, pairs, adoption });
    const applied = await applyLeaseWrite({ store, write: planned.write, deadlineMs: writeMs });
    if (applied.kind === "superseded") {
      await records.savePlan(id, application, null);
      throw changed(name, "when it was to be taken");
    }
    await adoptClaim({ store, prefix, owner, application, from: planned.from, deadlineMs: writeMs });
    const { epoch } = planned.write.lease;
    const adoptedAt = (await records.end(id, epoch)).toISOString();
    const { from, fences } = planned;
    return { id, storage: name, application, from, epoch, fences: [...fences], by, reason, adoptedAt };
  } finally {
    store.close();
  }
}

/** The fences and the one write that is to follow; those of an earlier try where it came so far. */
async function planAdoption(
  params: Parameters<typeof adoptLease>[0] & {
    readonly keys: ForeignKeys;
    readonly store: Parameters<typeof readLease>[0]["store"];
    readonly pairs: readonly AccessKey[];
    readonly adoption: OpenAdoption;
  },
): Promise<PlannedAdoption> {
  const { storage, owner, request, keys, records, store, pairs, adoption } = params;
  const { application } = request;
  const { name, prefix } = storage;
  if (adoption.planned !== null) return adoption.planned;
  const seen = await foreignLease(params);
  // Written down before anything is disabled: a key that is refused afterwards proves something only if it was let in before.
  const opened = [...adoption.opened];
  for (const key of pairs) {
    if (opened.includes(key.accessKeyId)) continue;
    await keys.assertOpen(key);
    opened.push(key.accessKeyId);
    await records.saveOpened(adoption.id, opened);
  }
  const fences = await Promise.all(pairs.map((key) => keys.fence(key)));
  const current = await readLease({ store, prefix, timeoutMs: readMs });
  // Only renewals may have come in between, which a holder goes on with that has nothing left but its lease.
  if (current === null || !isSameTenure(seen, current)) throw changed(name, "while its keys were taken away");
  const { owner: from, holder, epoch, run } = current.lease;
  const write = planLeaseChange({
    current,
    change: {
      kind: "adopt",
      owner,
      application,
      from: { owner: from, holder, epoch, run },
      operation: adoption.id,
    },
  });
  const planned = { from, fences, write };
  await records.savePlan(adoption.id, application, planned);
  return planned;
}

async function foreignLease({
  storage,
  owner,
  store,
}: {
  readonly storage: StorageManifest;
  readonly owner: string;
  readonly store: Parameters<typeof readLease>[0]["store"];
}): Promise<LeaseView> {
  const { name, prefix } = storage;
  const view = await readLease({ store, prefix, timeoutMs: readMs });
  if (view === null)
    throw new AppError(
      "lease-missing",
      `cannot adopt the lease of storage "${name}": there is none; deploy the application`,
    );
  if (view.lease.owner === owner)
    throw new AppError(
      "lease-mismatch",
      `cannot adopt the lease of storage "${name}": it is ours already; deploy the application`,
    );
  return view;
}

const isSameTenure = ({ lease: a }: LeaseView, { lease: b }: LeaseView): boolean =>
  a.owner === b.owner &&
  a.epoch === b.epoch &&
  a.holder === b.holder &&
  a.state === b.state &&
  a.grant === b.grant &&
  sameRun(a.run, b.run);

const changed = (name: string, when: string): AppError =>
  new AppError(
    "lease-superseded",
    `cannot adopt the lease of storage "${name}": somebody changed it ${when}; see who still writes there, and ask again`,
  );
