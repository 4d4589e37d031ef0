import { closeSync, constants, openSync, readSync } from "node:fs";
import { createHash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { readAttributes } from "./read-attributes.ts";
import type { TreeEntry } from "./tree-entry.ts";
import { pathBytes, unlessGone, type WalkOptions, walkTree } from "./walk-tree.ts";

export interface TreeOptions extends WalkOptions {
  /** Off: what the file system tells of each entry alone, which is enough to see that it was touched. */
  readonly contents: boolean;
  readonly signal?: AbortSignal | undefined;
}

const batchSize = 1000;
const chunkBytes = 1 << 20;

/**
 * A tree in the order of {@link walkTree}, with the hash of every file and its attributes. Reads with calls that block, a megabyte at a time:
 * for a process of its own.
 * @throws AppError `volume-unfit`, `copier-unfit`; the signal's reason, and the system's own errors for what may not be read
 */
export async function* treeEntries({
  contents,
  signal,
  ...walk
}: TreeOptions): AsyncGenerator<TreeEntry, void> {
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let batch: TreeEntry[] = [];
  async function* finish(): AsyncGenerator<TreeEntry, void> {
    signal?.throwIfAborted();
    const paths = batch.map(({ path }) => pathBytes(walk.root, path));
    const attributes = contents ? await readAttributes(paths, signal) : null;
    for (const [at, entry] of batch.entries()) {
      const path = paths[at] ?? Buffer.alloc(0);
      const sha256 = contents && entry.kind === "file" ? await hashFile(path, chunk, signal) : null;
      yield { ...entry, sha256, attributes: attributes && (attributes.get(path.toString("latin1")) ?? "") };
    }
    batch = [];
    await turn();
  }
  for (const entry of walkTree(walk)) {
    batch.push(entry);
    if (batch.length === batchSize) yield* finish();
  }
  yield* finish();
}

/** Null for a file that vanished meanwhile. */
async function hashFile(
  path: Buffer,
  chunk: Buffer,
  signal: AbortSignal | undefined,
): Promise<string | null> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = unlessGone(() => openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  if (file === null) return null;
  try {
    const hash = createHash("sha256");
    for (;;) {
      const length = readSync(file, chunk, 0, chunk.length, null);
      hash.update(chunk.subarray(0, length));
      if (length < chunk.length) return hash.digest("hex");
      signal?.throwIfAborted();
      await turn();
    }
  } finally {
    closeSync(file);
  }
}
