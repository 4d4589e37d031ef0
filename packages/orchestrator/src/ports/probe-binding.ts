import { createHash } from "node:crypto";
import { AppError, type StorageManifest } from "@baton/protocol";
import { type ProbeDoor, type ProbeResult, probeStorage } from "@baton/storage";
import { openProbeDoor } from "@baton/storage/bucket";
import type { ProbeSubject } from "../records/probe-records.ts";
import { greetEndpoint } from "./greet-endpoint.ts";
import { readAccessKey } from "./secrets.ts";
import { placeOn, placesOf, readDataKey, replicasOf } from "./storages.ts";

const greetTimeoutMs = 5_000;

/**
 * Probes a binding at all its endpoints, with the key that placements on `cluster` get.
 *
 * @throws what `probeStorage` throws; `secret-unavailable` for keys that cannot be read; the reason of `signal`.
 */
export async function probeBinding(params: {
  readonly storage: StorageManifest;
  /** Null: the key of clusters that have none of their own. */
  readonly cluster: string | null;
  readonly timeoutMs: number;
  readonly thorough?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}): Promise<ProbeResult> {
  const { storage, cluster, timeoutMs, thorough, signal = never } = params;
  const { ca } = placeOn(storage, cluster);
  return withDoors({ storage, cluster, signal }, async (doors) => {
    const greetMs = Math.min(greetTimeoutMs, timeoutMs);
    await Promise.all(doors.map(({ endpoint }) => greetEndpoint({ endpoint, timeoutMs: greetMs, signal })));
    signal.throwIfAborted();
    const late = replicasOf(storage);
    const [first, ...others] = doors;
    // The first is the storage's own endpoint, which is none.
    const [replicas, rest] = [true, false].map((is) =>
      others.filter(({ endpoint }) => late.includes(endpoint) === is),
    ) as [ProbeDoor[], ProbeDoor[]];
    return probeStorage({
      doors: [first, ...rest],
      replicas,
      prefix: storage.prefix,
      timeoutMs,
      thorough,
      ca,
    });
  });
}

const never = new AbortController().signal;

type Doors = readonly [ProbeDoor, ...ProbeDoor[]];

/** Opens every endpoint for as long as `use` takes; an abort does not wait for it. */
export async function withDoors<T>(
  params: {
    readonly storage: StorageManifest;
    readonly cluster: string | null;
    readonly signal: AbortSignal;
  },
  use: (doors: Doors) => Promise<T>,
): Promise<T> {
  const { storage, cluster, signal } = params;
  const control = await readAccessKey(storage.credentials.control);
  const data = await readDataKey(storage, cluster ?? "");
  signal.throwIfAborted();
  const [first, ...others] = placesOf(storage).map((place) => openProbeDoor({ ...place, control, data }));
  if (first === undefined) throw new AppError("internal", "cannot probe: a storage has an endpoint");
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([use([first, ...others]), aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    for (const door of [first, ...others]) door.close();
  }
}

const digest = (value: unknown): string => createHash("sha256").update(JSON.stringify(value)).digest("hex");

/**
 * What a probe's verdict depends on; whatever else the manifest says may change without another one.
 *
 * @param cluster whose data key alone it is about: where others have keys of their own, that says nothing of those.
 */
export function probeSubject(storage: StorageManifest, cluster: string | null = null): ProbeSubject {
  const { name, prefix, credentials } = storage;
  const { control, data, dataByCluster } = credentials;
  const only = cluster !== null && Object.keys(dataByCluster).length > 0 ? [cluster] : [];
  const keys = Object.entries(dataByCluster).map(([cluster, { file }]) => JSON.stringify([cluster, file]));
  const files = [control.file, data.file, keys.toSorted(), ...only];
  return { storage: name, subject: digest([waysTo(storage), prefix, files]) };
}

/** What the in-flight bound depends on: the endpoints. */
export const inFlightSubject = (storage: StorageManifest): ProbeSubject => ({
  storage: storage.name,
  subject: digest(waysTo(storage)),
});

/** In an order of their own: manifests that come back from the database have another one. */
const waysTo = (storage: StorageManifest): readonly string[] =>
  placesOf(storage)
    .map(({ endpoint, region, bucket, addressing, ca }) =>
      JSON.stringify([endpoint, region, bucket, addressing, ca]),
    )
    .toSorted();
