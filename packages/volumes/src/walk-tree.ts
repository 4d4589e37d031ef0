import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import type { BigIntStats } from "node:fs";
import { AppError } from "@baton/protocol";
import { readable, type TreeEntry } from "./tree-entry.ts";

export interface WalkOptions {
  /** Absolute. */
  readonly root: string;
  /** Paths below the root that are left out with all below them; nothing in them is a pattern. */
  readonly exclude: readonly string[];
}

/**
 * Every entry of a tree, a folder before what is in it, names in the order of their bytes; sockets are left out, as they say nothing to another
 * life. In memory are the names of the folders that are open, and the files with several names. What vanishes meanwhile is left out.
 * @throws AppError `volume-unfit` where another file system is mounted inside, and the system's own errors
 */
export function* walkTree({ root, exclude }: WalkOptions): Generator<TreeEntry, void> {
  const left = new Set(exclude.map((path) => Buffer.from(path).toString("latin1")));
  const linked = new Map<string, { readonly first: string; left: number }>();
  const { dev } = lstatSync(root, { bigint: true });
  const folders: Iterator<string, void>[] = [[""].values()];
  for (let names = folders.at(-1); names !== undefined; names = folders.at(-1)) {
    const next = names.next();
    if (next.done === true) {
      folders.pop();
      continue;
    }
    const path = next.value;
    if (left.has(path)) continue;
    const bytes = pathBytes(root, path);
    const stat = unlessGone(() => lstatSync(bytes, { bigint: true }));
    if (stat === null || stat.isSocket()) continue;
    if (stat.dev !== dev)
      throw new AppError(
        "volume-unfit",
        `cannot copy ${root}: another file system is mounted at ${readable(path)}; exclude it, or make it a volume of its own`,
      );
    const target = stat.isSymbolicLink() ? unlessGone(() => readlinkSync(bytes, "latin1")) : null;
    yield {
      path,
      kind: kindOf(stat),
      mode: Number(stat.mode & 0o7777n),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      size: stat.isFile() ? Number(stat.size) : 0,
      mtimeNs: String(stat.mtimeNs),
      sha256: null,
      target,
      device: stat.isCharacterDevice() || stat.isBlockDevice() ? String(stat.rdev) : null,
      attributes: null,
      sameAs: firstOf(linked, path, stat),
      sparse: stat.isFile() && stat.blocks * 512n < stat.size,
      inode: String(stat.ino),
      ctimeNs: String(stat.ctimeNs),
    };
    if (!stat.isDirectory()) continue;
    const found = unlessGone(() => readdirSync(bytes, { encoding: "buffer" })) ?? [];
    const inside = found.map((name) => name.toString("latin1")).toSorted(byBytes);
    folders.push(below(path, inside));
  }
}

/** One after the other: all of a huge folder's paths at once would be as much memory again. */
function* below(folder: string, names: readonly string[]): Generator<string, void> {
  for (const name of names) yield folder === "" ? name : `${folder}/${name}`;
}

export const pathBytes = (root: string, path: string): Buffer =>
  path === "" ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, "latin1")]);

export const byBytes = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function kindOf(stat: BigIntStats): TreeEntry["kind"] {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  return stat.isFIFO() ? "fifo" : "device";
}

/** Forgotten once all its names were seen, so that only those that are still open are in memory. */
function firstOf(
  linked: Map<string, { readonly first: string; left: number }>,
  path: string,
  stat: BigIntStats,
): string | null {
  const { ino, nlink } = stat;
  if (nlink < 2n || stat.isDirectory()) return null;
  const known = linked.get(String(ino));
  if (known === undefined) {
    linked.set(String(ino), { first: path, left: Number(nlink) - 1 });
    return null;
  }
  known.left -= 1;
  if (known.left <= 0) linked.delete(String(ino));
  return known.first;
}

/** @returns null for what is not there any more */
export function unlessGone<Value>(look: () => Value): Value | null {
  try {
    return look();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw error;
  }
}
