import { AppError } from "@baton/protocol";
import type { Inventory, InventoryEntry } from "./inventory-entry.ts";
import { compareUtf8 } from "./utf8-order.ts";

type Aspect = "size" | "etag" | "version";

export type InventoryChange =
  | { readonly kind: "added"; readonly after: InventoryEntry }
  | { readonly kind: "removed"; readonly before: InventoryEntry }
  | {
      readonly kind: "changed";
      readonly what: readonly Aspect[];
      readonly before: InventoryEntry;
      readonly after: InventoryEntry;
    };

export interface InventoryDifference {
  readonly before: Inventory;
  readonly after: Inventory;
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  /** In the order of their keys; as many as were asked for. */
  readonly first: readonly InventoryChange[];
}

/** Entries in the order of their keys, some at a time, and then the inventory: what `readInventory` gives. */
export type InventoryEntries = AsyncIterator<readonly InventoryEntry[], Inventory, undefined>;

/**
 * Walks both inventories at once, holding a page of each and the first `limit` changes.
 *
 * @throws AppError `invalid-request` for inventories of two prefixes; what reading them throws: there is no difference of half an inventory.
 */
export async function diffInventories(params: {
  readonly before: InventoryEntries;
  readonly after: InventoryEntries;
  readonly limit: number;
}): Promise<InventoryDifference> {
  const [left, right] = [openCursor(params.before), openCursor(params.after)];
  const count = { added: 0, removed: 0, changed: 0 };
  const first: InventoryChange[] = [];
  try {
    let [before, after] = [await left.next(), await right.next()];
    while (before !== null || after !== null) {
      const order = before === null ? 1 : after === null ? -1 : compareUtf8(before.key, after.key);
      const change = changeOf(order <= 0 ? before : null, order >= 0 ? after : null);
      if (change !== null) {
        count[change.kind] += 1;
        if (first.length < params.limit) first.push(change);
      }
      if (order <= 0) before = left.ready() ?? (await left.next());
      if (order >= 0) after = right.ready() ?? (await right.next());
    }
    const [was, is] = [left.inventory(), right.inventory()];
    assertComparable(was, is, count.added + count.removed + count.changed === 0);
    return { before: was, after: is, ...count, first };
  } finally {
    await Promise.allSettled([params.before.return?.(), params.after.return?.()]);
  }
}

interface Cursor {
  /** The next entry if it was read already. */
  ready(): InventoryEntry | undefined;
  /** The next entry, or null at the end. */
  next(): Promise<InventoryEntry | null>;
  /** Once the end was reached. */
  inventory(): Inventory;
}

function openCursor(source: InventoryEntries): Cursor {
  let entries: readonly InventoryEntry[] = [];
  let at = 0;
  let end: Inventory | undefined;
  const ready = (): InventoryEntry | undefined => entries[at++];
  return {
    ready,
    next: async () => {
      for (;;) {
        const entry = ready();
        if (entry !== undefined) return entry;
        const page = await source.next();
        if (page.done === true) {
          end = page.value;
          return null;
        }
        [entries, at] = [page.value, 0];
      }
    },
    inventory: () => {
      if (end === undefined) throw new Error("the inventory was not read to its end");
      return end;
    },
  };
}

function changeOf(before: InventoryEntry | null, after: InventoryEntry | null): InventoryChange | null {
  if (after === null) return before === null ? null : { kind: "removed", before };
  if (before === null) return { kind: "added", after };
  const what = (["size", "etag", "version"] as const).filter((each) => before[each] !== after[each]);
  return what.length === 0 ? null : { kind: "changed", what, before, after };
}

function assertComparable(before: Inventory, after: Inventory, isSame: boolean): void {
  if (before.prefix !== after.prefix)
    throw new AppError(
      "invalid-request",
      `cannot compare the inventories of "${before.prefix}" and "${after.prefix}": they are of two prefixes; take both of the same`,
    );
  if (isSame !== (before.digest === after.digest))
    throw new AppError(
      "internal",
      `cannot compare two inventories of "${before.prefix}": the entries and the digests do not say the same; take both again`,
    );
}
