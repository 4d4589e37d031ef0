import {
  AppError,
  type HandedOver,
  type Rotation,
  type SecretReference,
  type StorageManifest,
  isAppError,
} from "@baton/protocol";
import { readAccessKey } from "../ports/secrets.ts";
import type { StorageUser } from "../records/catalog.ts";
import { assertOldKeyRefused } from "./old-key.ts";
import type { StorageProbes } from "./storage-probes.ts";
import { assertVerdict } from "./verdict.ts";

/**
 * Proves that the keys which are in the files now work at every endpoint, and that an old pair does nowhere. Baton reads its own from the file for every
 * request; an application that is served its key by its agent is handed the new one once that is proven. What fails before leaves all as it was.
 *
 * @throws what the probe throws; `invalid-request` for an old pair that is one of the present ones; `fence-unproven` where the old pair is not refused.
 */
export async function rotateKeys(params: {
  readonly storage: StorageManifest;
  readonly old: SecretReference | undefined;
  readonly users: readonly StorageUser[];
  readonly probes: StorageProbes;
  readonly handOver: () => Promise<readonly HandedOver[]>;
}): Promise<Rotation> {
  const { storage, old, users, probes, handOver } = params;
  const { name, fence, credentials } = storage;
  const keys = keysOf(storage);
  const oldPair = old === undefined ? null : await readAccessKey(old);
  if (oldPair !== null)
    for (const { file } of keys) {
      const { accessKeyId, secretAccessKey } = await readAccessKey({ file });
      if (accessKeyId === oldPair.accessKeyId && secretAccessKey === oldPair.secretAccessKey)
        throw new AppError(
          "invalid-request",
          `cannot rotate the keys of storage "${name}": the old pair is still the one in ${file}; put the new pair there first`,
        );
    }
  const verdict = await provenBy(name, async () => {
    const seen = await probes.probe(storage, { thorough: false });
    assertVerdict(name, seen);
    return seen;
  });
  const placements = await handOver();
  const oldRefused = oldPair === null ? null : await assertOldKeyRefused(storage, oldPair);
  const isServed = credentials.delivery === "endpoint";
  const dataCounts = fence !== undefined ? "placement" : isServed ? "handed-over" : "next-start";
  const withOld = isServed
    ? placements.filter(({ taken }) => taken === null).map(({ application }) => application)
    : users.filter((user) => user.placements > 0).map((user) => user.name);
  return {
    storage: name,
    endpoints: verdict.endpoints,
    keys: keys.map(({ role, cluster, file }) => ({
      role,
      cluster,
      file,
      counts: role === "control" ? "at-once" : dataCounts,
    })),
    runningOn: fence === undefined ? withOld : [],
    placements: [...placements],
    oldRefused: oldRefused === null ? null : [...oldRefused],
  };
}

function keysOf({ credentials: { control, data, dataByCluster } }: StorageManifest) {
  return [
    { role: "control", cluster: null, file: control.file },
    { role: "data", cluster: null, file: data.file },
    ...Object.entries(dataByCluster).map(([cluster, { file }]) => ({ role: "data", cluster, file }) as const),
  ] as const;
}

async function provenBy<T>(name: string, prove: () => Promise<T>): Promise<T> {
  try {
    return await prove();
  } catch (error) {
    if (!isAppError(error)) throw error;
    const { code, message, meta } = error;
    throw new AppError(
      code,
      `cannot rotate the keys of storage "${name}": those in the files are not proven to work: ${message}; until they are, leave the old pair enabled`,
      { cause: error, meta },
    );
  }
}
