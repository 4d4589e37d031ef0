import { access } from "node:fs/promises";
import { AppError, type StorageManifest } from "@baton/protocol";
import { openBucket, takeInventory } from "@baton/storage/bucket";
import type { Inventory } from "@baton/storage/inventory";
import { placeOn, readDataKey } from "../ports/storages.ts";

const pageTimeoutMs = 15_000;
/** A million objects take about two minutes. */
const deadlineMs = 1_800_000;

/**
 * Everything below the storage's prefix, with the application's key: Baton's own may have no business there.
 *
 * @param file takes the entries as well. @throws `invalid-request` for one that is there already, or cannot be written; what `takeInventory` throws.
 */
export async function inventoryOf(storage: StorageManifest, file: string | undefined): Promise<Inventory> {
  if (file !== undefined) await assertAbsent(file);
  const accessKey = await readDataKey(storage, "");
  const bucket = openBucket({ ...placeOn(storage, null), accessKey, ifMatch: storage.ifMatch });
  try {
    return await takeInventory({ bucket, prefix: storage.prefix, file, pageTimeoutMs, deadlineMs });
  } catch (error) {
    if (file === undefined || !(error instanceof Error && "syscall" in error && "code" in error)) throw error;
    throw unusable(file, `it cannot be written (${String(error.code)})`, error);
  } finally {
    bucket.close();
  }
}

/** Only the answer that there is none counts: what may not be looked at may be there. */
async function assertAbsent(file: string): Promise<void> {
  const seen = await access(file).then(
    () => "is there already; an inventory is never written over",
    (error: unknown) => String(error instanceof Error && "code" in error ? error.code : error),
  );
  if (seen === "ENOENT") return;
  throw unusable(file, seen.startsWith("is there") ? `it ${seen}` : `it cannot be looked at (${seen})`);
}

const unusable = (file: string, why: string, cause?: unknown): AppError =>
  new AppError("invalid-request", `cannot save the inventory to ${file}: ${why}; name another file`, {
    cause,
  });
