import { AppError } from "@baton/protocol";
import type { BucketPort, ListingLimit, VersionEntry, VersionPage } from "./bucket.port.ts";
import type { Inventory, InventoryEntry, InventoryPages } from "./inventory-entry.ts";
import { createOrderCheck } from "./inventory-entry.ts";
import { writeInventory } from "./inventory-file.ts";
import { createTally } from "./inventory-tally.ts";
import { assertPrefix } from "./prefix.ts";

/**
 * Counts and digests every object below the prefix, page by page. It is what the pages said one after the other: only of a prefix that nobody
 * writes is it what there was at one time. A store that hides keys below keys (see `listsNestedKeys`) hides them from it too.
 *
 * Baton's own scratch keys, `<prefix>.baton-…`, are left out: a probe that runs between two inventories, or died before it removed its key, has
 * changed nothing of the application's.
 *
 * @param params.file takes the entries as well (see {@link writeInventory}); it is there only when the inventory is.
 * @throws AppError what a listing of {@link BucketPort} throws; `storage-failed` when keys are out of order, twice, or not below the prefix;
 * `invalid-request` for a prefix that is none. The signal's reason when it is aborted.
 */
export async function takeInventory(
  params: ListingLimit & {
    readonly bucket: Pick<BucketPort, "listVersions">;
    readonly prefix: string;
    readonly file?: string | undefined;
  },
): Promise<Inventory> {
  const { bucket, file, ...listing } = params;
  const { prefix } = listing;
  assertPrefix(prefix);
  if (file !== undefined)
    return writeInventory({ file, prefix, pages: readEntries(bucket.listVersions(listing), prefix) });
  const pages = listInventory({ bucket, ...listing });
  let page = await pages.next();
  while (page.done !== true) page = await pages.next();
  return page.value;
}

/** The entries as they are listed, some at a time, and then the inventory; as {@link takeInventory} in all else. */
export async function* listInventory(
  params: ListingLimit & { readonly bucket: Pick<BucketPort, "listVersions">; readonly prefix: string },
): AsyncGenerator<readonly InventoryEntry[], Inventory, undefined> {
  const { bucket, ...listing } = params;
  const { prefix } = listing;
  assertPrefix(prefix);
  const pages = readEntries(bucket.listVersions(listing), prefix);
  const tally = createTally();
  let page = await pages.next();
  for (; page.done !== true; page = await pages.next()) {
    tally.add(page.value);
    yield page.value;
  }
  return { prefix, ...tally.total(), ...page.value };
}

async function* readEntries(pages: AsyncIterable<VersionPage>, prefix: string): InventoryPages {
  const doing = `take the inventory of "${prefix}"`;
  const failed = (seen: string, advice: string): AppError =>
    new AppError(
      "storage-failed",
      `cannot ${doing}: the store listed ${seen}; use a store that lists ${advice}`,
    );
  const misplaced = (key: string, last: string): AppError =>
    failed(
      `${JSON.stringify(key)} after ${JSON.stringify(last)}`,
      "every key once, in the order of its UTF-8 bytes",
    );
  const checkAll = createOrderCheck(misplaced);
  const checkCurrent = createOrderCheck(misplaced);
  const isCurrent = (entry: VersionEntry): boolean => {
    checkAll(entry.key, true);
    if (!entry.key.startsWith(prefix)) throw failed(JSON.stringify(entry.key), "by prefix");
    if (entry.isLatest) checkCurrent(entry.key, false);
    return entry.isLatest && !entry.deleteMarker;
  };

  let listed: Inventory["listed"] = "versions";
  let noncurrent = 0;
  for await (const { kind, entries } of pages) {
    listed = kind;
    const current = entries.filter(isCurrent);
    noncurrent += entries.length - current.length;
    yield current.filter(({ key }) => !key.startsWith(`${prefix}.baton-`)).map(toEntry);
  }
  return { listed, noncurrent };
}

const toEntry = ({ key, size, etag, versionId }: VersionEntry): InventoryEntry => ({
  key,
  size,
  etag: etag.replaceAll('"', ""),
  version: versionId,
});
