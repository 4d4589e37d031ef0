import { S3Error } from "./s3-error.ts";

/** One page of a listing: keys and rolled-up prefixes together, in the order of their UTF-8 bytes. */
export interface ListPage {
  readonly items: ReadonlyArray<ListItem>;
  /** Continues after this page; undefined on the last one. */
  readonly nextToken: string | undefined;
}

export interface ListItem {
  readonly kind: "key" | "prefix";
  readonly name: string;
}

/**
 * Pages through keys by the rules of ListObjectsV2: a key with the delimiter after the prefix is rolled up, and
 * a rolled-up prefix counts as one item.
 * @throws S3Error `InvalidArgument` for a token that is not one of ours.
 */
export function listObjects(params: {
  readonly keys: Iterable<string>;
  readonly prefix: string;
  readonly delimiter: string;
  readonly maxKeys: number;
  readonly startAfter: string;
  readonly token: string | undefined;
}): ListPage {
  const { prefix, delimiter, maxKeys } = params;
  const after = params.token === undefined ? key(params.startAfter) : parseToken(params.token);
  const remaining = [...params.keys]
    .filter((name) => name.startsWith(prefix) && isAfter(name, after))
    .toSorted(compareUtf8);
  const items: ListItem[] = [];
  for (const name of remaining) {
    const item = rollUp(name, prefix, delimiter);
    const last = items.at(-1);
    if (item.kind === "prefix" && last?.kind === "prefix" && last.name === item.name) continue;
    if (items.length === maxKeys) return { items, nextToken: last && makeToken(last) };
    items.push(item);
  }
  return { items, nextToken: undefined };
}

function rollUp(name: string, prefix: string, delimiter: string): ListItem {
  const end = delimiter === "" ? -1 : name.indexOf(delimiter, prefix.length);
  return end === -1 ? key(name) : { kind: "prefix", name: name.slice(0, end + delimiter.length) };
}

function key(name: string): ListItem {
  return { kind: "key", name };
}

function isAfter(name: string, item: ListItem): boolean {
  if (item.kind === "prefix" && name.startsWith(item.name)) return false;
  return compareUtf8(name, item.name) > 0;
}

function makeToken(item: ListItem): string {
  return Buffer.from(`${item.kind}:${item.name}`).toString("base64url");
}

function parseToken(token: string): ListItem {
  const match = /^(key|prefix):(.+)$/s.exec(Buffer.from(token, "base64url").toString());
  const [, kind, name] = match ?? [];
  if (kind === undefined || name === undefined)
    throw new S3Error("InvalidArgument", "The continuation token is not valid.");
  return { kind: kind === "prefix" ? "prefix" : "key", name };
}

/** Orders by UTF-8 bytes, which differs from JavaScript's order where surrogates meet U+E000 and above. */
function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const unitA = a.charCodeAt(at);
    const unitB = b.charCodeAt(at);
    if (unitA !== unitB) return byteRank(unitA) - byteRank(unitB);
  }
  return a.length - b.length;
}

function byteRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x1_0000 : unit;
}
