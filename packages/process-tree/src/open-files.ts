import { realpath } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { visitProcesses } from "./every-process.ts";
import { readFileLocks } from "./file-locks.ts";
import { filesHeldBy, folderAt } from "./held-files.ts";
import type { Folder } from "./held-files.ts";
import { deviceOf, readMounts } from "./mounts.ts";
import { errorCode } from "./proc-file.ts";
import { readStatNow } from "./process-stat.ts";
import { nameProcess, tellReasons } from "./tell.ts";
import { belongingRule } from "./tree-bounds.ts";
import type { TreeBounds } from "./tree-bounds.ts";
import { walkFiles } from "./walk-files.ts";

export interface OpenFilesOptions extends TreeBounds {
  /** Absolute paths; what they lead to is meant. Each must exist. */
  readonly directories: readonly string[];
  /** On the clock of `performance.now()`, in milliseconds. */
  readonly deadlineAt: number;
  /** How many files below one directory are looked at to find the one that is locked. Default: 100,000. */
  readonly maxFiles?: number | undefined;
}

export interface OpenFiles {
  /** `held` if anybody is seen to hold something; else `unknown` if something could not be seen. */
  readonly state: "free" | "held" | "unknown";
  /** `process 12 (redis-server) has /data/dump.rdb open`; none when free. */
  readonly reasons: readonly string[];
}

/**
 * Says who holds files below the given directories: open (deleted ones too), mapped, or locked; a process that only
 * stands there (cwd, root) does not count, nor does a lock file that nobody has locked. Any living process but the
 * excluded counts as a holder. One that cannot be read makes the answer unknown if it may be of the tree.
 *
 * A lock names no path, so its file is looked for among at most `maxFiles` below each directory, once there is a lock
 * on the same file system at all; with more, its place is unknown. Held but not seen are files that the kernel itself
 * uses (loop devices, swap), and those mapped from a mount that was taken away.
 */
export async function openFiles(options: OpenFilesOptions): Promise<OpenFiles> {
  const timer = new AbortController();
  const late = delay(Math.max(0, options.deadlineAt - performance.now()), undefined, {
    signal: timer.signal,
  }).then((): OpenFiles => ({ state: "unknown", reasons: ["looking for open files took too long"] }));
  const search = searchOpenFiles(options);
  // The one that comes second is nobody's any more.
  for (const promise of [late, search]) promise.catch(() => undefined);
  try {
    return await Promise.race([search, late]);
  } finally {
    timer.abort();
  }
}

async function searchOpenFiles(options: OpenFilesOptions): Promise<OpenFiles> {
  const mounts = readMounts("/proc/self");
  if (mounts === null) throw new Error("cannot look for open files: /proc is not mounted");
  const held: string[] = [];
  const unknown: string[] = [];
  const folders: Folder[] = [];
  if (options.directories.length === 0) unknown.push("no directory was named to look below");
  for (const directory of options.directories) {
    try {
      folders.push(folderAt(await realpath(directory), mounts));
    } catch (error) {
      unknown.push(`${directory} cannot be looked at: ${errorCode(error) ?? "no mount shows it"}`);
    }
  }

  const mayBelong = belongingRule(options);
  const excluded = new Set(options.exclude);
  const settled = await visitProcesses((stat) => {
    if (excluded.has(stat.pid)) return true;
    const files = filesHeldBy(stat, folders, mounts);
    if (files.kind === "vanished") return false;
    if (files.kind === "unreadable") {
      if (mayBelong(stat)) unknown.push(`${nameProcess(stat)} cannot be looked into: ${files.reason}`);
    } else {
      held.push(...files.held.map((what) => `${nameProcess(stat)} has ${what}`));
      unknown.push(...files.doubts.map((what) => `${nameProcess(stat)} has ${what}`));
    }
    return true;
  });
  if (!settled) unknown.push("processes came and went faster than they could be read");

  const locks = await lockedBelow(folders, options);
  held.push(...locks.held);
  unknown.push(...locks.unknown);
  if (held.length > 0) return { state: "held", reasons: tellReasons([...held, ...unknown]) };
  return { state: unknown.length > 0 ? "unknown" : "free", reasons: tellReasons(unknown) };
}

/** A lock counts apart from the open file that it needs: it may be another's whom we cannot read. */
async function lockedBelow(
  folders: readonly Folder[],
  { exclude = [], deadlineAt, maxFiles = 100_000 }: OpenFilesOptions,
): Promise<{ readonly held: readonly string[]; readonly unknown: readonly string[] }> {
  const held: string[] = [];
  const unknown: string[] = [];
  const isLate = (): boolean => performance.now() >= deadlineAt;
  try {
    const locks = readFileLocks().filter(({ pid }) => pid === null || !exclude.includes(pid));
    for (const { path, places } of folders) {
      const [{ device }] = places;
      const near = locks.filter((lock) => places.some((place) => place.device === lock.device));
      if (near.length === 0) continue;
      let ownDev: bigint | undefined;
      const isWhole = await walkFiles(path, { limit: maxFiles, isLate }, (file) => {
        // The folder comes first. What stat calls its file system is not always what locks call it.
        ownDev ??= file.dev;
        const fileDevice = file.dev === ownDev ? device : deviceOf(file.dev);
        for (const lock of near) {
          if (lock.inode === String(file.ino) && lock.device === fileDevice)
            held.push(`${nameHolder(lock.pid)} has a lock (${lock.kind}) on ${file.path}`);
        }
      });
      if (!isWhole) unknown.push(`there are too many files below ${path} to find those that are locked`);
    }
  } catch (error) {
    unknown.push(error instanceof Error ? error.message : String(error));
  }
  return { held, unknown };
}

function nameHolder(pid: number | null): string {
  const stat = pid === null ? null : readStatNow(pid);
  return stat === null ? "somebody" : nameProcess(stat);
}
