import type { InventoryChange, InventoryDifference } from "./inventory-difference.ts";
import type { Inventory } from "./inventory-entry.ts";

const names = { size: "size", etag: "ETag", version: "version" } as const;

/** A difference for people: a line with the counts, then one for each of its first changes ("+" added, "-" removed, "~" changed). */
export function renderDifference(difference: InventoryDifference): string {
  const { before, after, added, removed, changed, first } = difference;
  const total = added + removed + changed;
  const where = `below ${show(before.prefix)}`;
  if (total === 0) return `Nothing differs ${where}: ${sizeOf(after)}.`;
  const notes =
    before.listed === after.listed
      ? []
      : [`Versions were listed only ${before.listed === "versions" ? "before" : "after"}.`];
  const more = total > first.length ? [`  … and ${total - first.length} more`] : [];
  return [
    `${total} ${total === 1 ? "object differs" : "objects differ"} ${where}: ${added} added, ${removed} removed, ${changed} changed.`,
    `Before: ${sizeOf(before)}; after: ${sizeOf(after)}.`,
    ...notes,
    ...first.map((change) => `  ${lineOf(change)}`),
    ...more,
  ].join("\n");
}

function lineOf(change: InventoryChange): string {
  if (change.kind === "added") return `+ ${show(change.after.key)} ${bytes(change.after.size)}`;
  if (change.kind === "removed") return `- ${show(change.before.key)} ${bytes(change.before.size)}`;
  const { before, after, what } = change;
  const aspects = what.map((each) => `${names[each]} ${shown(before[each])} → ${shown(after[each])}`);
  return `~ ${show(after.key)} ${aspects.join(", ")}`;
}

const sizeOf = ({ objects, bytes: size }: Inventory): string =>
  `${objects} ${objects === 1 ? "object" : "objects"}, ${bytes(size)}`;

const bytes = (size: number): string => `${size} ${size === 1 ? "byte" : "bytes"}`;

const shown = (value: string | number | null): string =>
  value === null ? "none" : typeof value === "number" ? String(value) : show(value).slice(1, -1);

/** Quoted; what a terminal would obey or turn around (controls, direction marks) is escaped: whoever writes the bucket chooses the keys. */
const show = (text: string): string =>
  JSON.stringify(text).replace(
    /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
