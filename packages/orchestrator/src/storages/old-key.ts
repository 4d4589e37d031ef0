import { setTimeout as delay } from "node:timers/promises";
import {
  type AccessKey,
  AppError,
  type Rotation,
  type StorageManifest,
  isAppError,
  newNonce,
} from "@baton/protocol";
import { isDenial } from "@baton/storage/fence";
import { openStore, placesOf } from "../ports/storages.ts";

type Refused = NonNullable<Rotation["oldRefused"]>[number];
type Store = ReturnType<typeof openStore>;

/** Several servers may stand behind one endpoint, and hear of it one after the other. */
const denialsInARow = 3;
const betweenTriesMs = 200;
const timeoutMs = 5_000;

/**
 * Sees that an old pair is refused several times in a row at every endpoint, wherever either kind of key could write or read.
 *
 * @throws `fence-unproven` naming every endpoint where it was not, and what was seen there.
 */
export async function assertOldKeyRefused(
  storage: StorageManifest,
  old: AccessKey,
): Promise<readonly Refused[]> {
  const { name, prefix } = storage;
  const seen = await Promise.all(
    placesOf(storage).map(async (place): Promise<Refused | string> => {
      const store = openStore(storage, old, place);
      try {
        for (let n = 0; n < denialsInARow; n += 1) {
          if (n > 0) await delay(betweenTriesMs);
          const wrong = await stillAllowed(store, prefix);
          if (wrong !== null) return `${place.endpoint} ${wrong}`;
        }
        return { endpoint: place.endpoint, denials: denialsInARow };
      } finally {
        store.close();
      }
    }),
  );
  const wrong = seen.filter((each) => typeof each === "string");
  if (wrong.length > 0)
    throw new AppError(
      "fence-unproven",
      `cannot say that the old key of storage "${name}" is refused everywhere: ${wrong.join("; ")}; disable it at the store and ask again (the new keys work)`,
    );
  return seen.filter((each) => typeof each !== "string");
}

/** What the key may still do, or why that is not known; null when it was denied everything. */
async function stillAllowed(store: Store, prefix: string): Promise<string | null> {
  for (const below of [prefix, ".baton/probe/"]) {
    const key = `${below}.baton-rotation-${newNonce()}`;
    try {
      await store.put({ key, body: key, timeoutMs });
      // One that stays harms nobody.
      await store.remove({ key, timeoutMs }).catch(() => undefined);
      return `takes its writes below "${below}"`;
    } catch (error) {
      if (!isDenial(error)) return whyUnknown(error);
    }
    try {
      await store.get({ key, timeoutMs });
      return `lets it read below "${below}"`;
    } catch (error) {
      if (!isDenial(error)) return whyUnknown(error);
    }
  }
  return null;
}

function whyUnknown(error: unknown): string {
  if (isAppError(error)) return `gives no denial that counts (${error.message})`;
  throw error;
}
