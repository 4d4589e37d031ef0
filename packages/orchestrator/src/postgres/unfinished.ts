import { randomBytes } from "node:crypto";
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { findProcess } from "./process-identity.ts";

/**
 * A fresh path `<prefix>.<pid>-<start>-<random>` in `directory` for something that gets its real name by
 * rename when it is complete. The name says whose it is, so that a later start can tell left-overs of a
 * killed process from the work of a living one.
 */
export async function unfinishedPath(directory: string, prefix: string): Promise<string> {
  const self = await findProcess(process.pid);
  return join(
    directory,
    `${prefix}.${process.pid}-${self?.startTicks ?? "0"}-${randomBytes(4).toString("hex")}`,
  );
}

/** Removes what killed processes left behind under `prefix`. What cannot be removed stays; it is in nobody's way. */
export async function removeAbandoned(directory: string, prefix: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(`${prefix}.`)) continue;
    const owner = /^(\d+)-(\d+)-[0-9a-f]{8}$/.exec(name.slice(prefix.length + 1));
    if (!owner) continue;
    const living = await findProcess(Number(owner[1]));
    if (living?.startTicks === owner[2]) continue;
    // An orphaned initdb may still be writing into it, hence the retries.
    await rm(join(directory, name), { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
  }
}

/** Puts every file and directory below (and with) `directory` on the disk. */
export async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() || entry.isDirectory()) await syncPath(join(entry.parentPath, entry.name));
  }
  await syncPath(directory);
}

/** Makes a directory's entries (a rename, a link), or a file's content, survive a power cut. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
