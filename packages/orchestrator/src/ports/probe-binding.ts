import { AppError, type StorageManifest } from "@baton/protocol";
import { type ProbeResult, probeStorage } from "@baton/storage";
import { openProbeDoor } from "@baton/storage/bucket";
import { readAccessKey } from "./secrets.ts";
import { placeOn, placesOf, readDataKey } from "./storages.ts";

/**
 * Probes a binding at all its endpoints, with the key that placements on `cluster` get.
 *
 * @throws what `probeStorage` throws; `secret-unavailable` for keys that cannot be read.
 */
export async function probeBinding(params: {
  readonly storage: StorageManifest;
  /** Null: the key of clusters that have none of their own. */
  readonly cluster: string | null;
  readonly timeoutMs: number;
  readonly thorough?: boolean | undefined;
}): Promise<ProbeResult> {
  const { storage, cluster, timeoutMs, thorough } = params;
  const control = await readAccessKey(storage.credentials.control);
  const data = await readDataKey(storage, cluster ?? "");
  const [first, ...others] = placesOf(storage).map((place) => openProbeDoor({ ...place, control, data }));
  if (first === undefined) throw new AppError("internal", "cannot probe: a storage has an endpoint");
  try {
    const { ca } = placeOn(storage, cluster);
    return await probeStorage({
      doors: [first, ...others],
      prefix: storage.prefix,
      timeoutMs,
      thorough,
      ca,
    });
  } finally {
    for (const door of [first, ...others]) door.close();
  }
}
