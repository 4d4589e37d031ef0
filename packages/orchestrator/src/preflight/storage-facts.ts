import { X509Certificate } from "node:crypto";
import type { KeyFacts, StorageFacts } from "@baton/migration";
import { type AccessKey, AppError, type StorageManifest } from "@baton/protocol";
import { type ProbeResult, readLease } from "@baton/storage";
import { findOpenUploads, openBucket } from "@baton/storage/bucket";
import { inFlightSubject } from "../ports/probe-binding.ts";
import { readAccessKey } from "../ports/secrets.ts";
import { openControlStore, placeOn, readDataKey } from "../ports/storages.ts";
import type { ProbeRecords } from "../records/probe-records.ts";
import { see } from "./see.ts";

const quickMs = 5_000;
/** The probe races writes over every endpoint. */
const probeMs = 25_000;
const dayMs = 86_400_000;

export interface StorageFactsParams {
  readonly storage: StorageManifest;
  /** Whose data key is tried; null for that of clusters without one of their own. */
  readonly cluster: string | null;
  readonly records: ProbeRecords;
  /** Null: nothing new is begun there. */
  readonly probe:
    ((storage: StorageManifest, cluster: string, signal: AbortSignal) => Promise<ProbeResult>) | null;
  readonly signal: AbortSignal;
}

/** Everything about the store, looked at all at once. Writes nothing but the probe's scratch keys. */
export async function seeStorage(params: StorageFactsParams): Promise<StorageFacts> {
  const { storage, cluster, records, probe, signal } = params;
  const hasFence = storage.fence !== undefined;
  const quick = { timeoutMs: quickMs, signal };
  // What a fence lists, it lists with Baton's own key.
  const listingKey = (): Promise<AccessKey> =>
    hasFence ? readAccessKey(storage.credentials.control) : readDataKey(storage, cluster ?? "");
  const [lease, probed, controlKey, listing, openUploads, certificateDays, inFlight] = await Promise.all([
    see(() => leaseOf(storage), quick),
    probe === null
      ? null
      : see((limit) => probe(storage, cluster ?? "", limit), { timeoutMs: probeMs, signal }),
    see(async () => keyFacts(await readAccessKey(storage.credentials.control)), quick),
    see((limit) => listFirst(storage, listingKey, limit), quick),
    hasFence ? see((limit) => countUploads(storage, listingKey, limit), quick) : null,
    see(async () => daysOf(storage), quick),
    see(() => boundOf(storage, records), quick),
  ]);
  return { lease, probe: probed, controlKey, listing, openUploads, certificateDays, inFlight };
}

export const keyFacts = ({ sessionToken }: AccessKey): KeyFacts => ({
  isTemporary: sessionToken !== undefined,
});

async function leaseOf(storage: StorageManifest) {
  const store = await openControlStore(storage);
  try {
    const view = await readLease({ store, prefix: storage.prefix, timeoutMs: quickMs });
    return view?.lease ?? null;
  } finally {
    store.close();
  }
}

type Bucket = ReturnType<typeof openBucket>;

async function withBucket<T>(
  storage: StorageManifest,
  readKey: () => Promise<AccessKey>,
  use: (bucket: Bucket) => Promise<T>,
): Promise<T> {
  const bucket = openBucket({
    ...placeOn(storage, null),
    accessKey: await readKey(),
    ifMatch: storage.ifMatch,
  });
  try {
    return await use(bucket);
  } finally {
    bucket.close();
  }
}

const limits = (signal: AbortSignal) => ({ pageTimeoutMs: quickMs, deadlineMs: quickMs, signal });

/** Its first page: who may read that may read the others. */
const listFirst = (
  storage: StorageManifest,
  readKey: () => Promise<AccessKey>,
  signal: AbortSignal,
): Promise<true> =>
  withBucket(storage, readKey, async (bucket) => {
    const listing = bucket.listVersions({ prefix: storage.prefix, ...limits(signal) });
    const pages = listing[Symbol.asyncIterator]();
    await pages.next();
    await pages.return?.();
    return true as const;
  });

const countUploads = (
  storage: StorageManifest,
  readKey: () => Promise<AccessKey>,
  signal: AbortSignal,
): Promise<number> =>
  withBucket(storage, readKey, async (bucket) => {
    const { uploads, complete } = await findOpenUploads({
      bucket,
      prefix: storage.prefix,
      ...limits(signal),
    });
    if (complete) return uploads.length;
    throw new AppError("storage-failed", "the store did not list one that was begun just now");
  });

const block = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** Of whichever certificate runs out first, on whatever way to the store. */
function daysOf({ name, ca, clusters = {} }: StorageManifest): number | null {
  const texts = [ca, ...Object.values(clusters).map((own) => own.ca)].filter((text) => text !== undefined);
  if (texts.length === 0) return null;
  try {
    const ends = texts.flatMap((text) =>
      [...text.matchAll(block)].map(([pem]) => Date.parse(new X509Certificate(pem).validTo)),
    );
    return (Math.min(...ends) - Date.now()) / dayMs;
  } catch (cause) {
    const detail = `storage "${name}" names one that is cut, or none in PEM`;
    throw new AppError("invalid-manifest", detail, { cause });
  }
}

async function boundOf(storage: StorageManifest, records: ProbeRecords) {
  const record = await records.inFlight(inFlightSubject(storage));
  return record === null ? null : { ms: record.ms };
}
