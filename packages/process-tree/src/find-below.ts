import { readFileLocks } from "./file-locks.ts";
import type { Folder } from "./held-files.ts";
import { deviceOf } from "./mounts.ts";
import { readStatNow } from "./process-stat.ts";
import { nameProcess } from "./tell.ts";
import { walkFiles } from "./walk-files.ts";

/** A file of which only the number is known. */
export interface WantedFile {
  readonly device: string;
  readonly inode: string;
  /** What is to be said once its path is found. */
  readonly tell: (path: string) => string;
}

export interface FoundBelow {
  readonly found: readonly string[];
  readonly unknown: readonly string[];
}

/**
 * Looks for files by their numbers below the folders, each of which is walked only if its file system has one of
 * them.
 * @throws Error when something below may not be looked at
 */
export async function findBelow(
  folders: readonly Folder[],
  wanted: readonly WantedFile[],
  { maxFiles, deadlineAt }: { readonly maxFiles: number; readonly deadlineAt: number },
): Promise<FoundBelow> {
  const found: string[] = [];
  const unknown: string[] = [];
  const isLate = (): boolean => performance.now() >= deadlineAt;
  for (const { path, places, statDevice } of folders) {
    const devices = new Set([statDevice, ...places.map(({ device }) => device)]);
    const near = wanted.filter(({ device }) => devices.has(device));
    if (near.length === 0) continue;
    const isWhole = await walkFiles(path, { limit: maxFiles, isLate }, (file) => {
      const fileDevice = deviceOf(file.dev);
      // What stat calls a file system is not always what mounts and locks call it.
      const isOn = (device: string): boolean =>
        device === fileDevice || (fileDevice === statDevice && device === places[0].device);
      for (const { device, inode, tell } of near)
        if (inode === String(file.ino) && isOn(device)) found.push(tell(file.path));
    });
    if (!isWhole)
      unknown.push(`there are too many files below ${path} to find those that are locked or open elsewhere`);
  }
  return { found, unknown };
}

/** Locks by what they lock, which may be of a process that cannot be read. @throws Error when /proc does not offer them */
export function lockedFiles(exclude: readonly number[]): readonly WantedFile[] {
  return readFileLocks()
    .filter(({ pid }) => pid === null || !exclude.includes(pid))
    .map(({ kind, pid, device, inode }) => {
      const stat = pid === null ? null : readStatNow(pid);
      const holder = stat === null ? "somebody" : nameProcess(stat);
      return { device, inode, tell: (path) => `${holder} has a lock (${kind}) on ${path}` };
    });
}
