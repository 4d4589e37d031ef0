import { realpath, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { visitProcesses } from "./every-process.ts";
import { findBelow, lockedFiles } from "./find-below.ts";
import type { WantedFile } from "./find-below.ts";
import { filesHeldBy, folderAt } from "./held-files.ts";
import type { Folder } from "./held-files.ts";
import { readMounts } from "./mounts.ts";
import { errorCode } from "./proc-file.ts";
import { nameProcess, tellReasons } from "./tell.ts";
import { belongingRule } from "./tree-bounds.ts";
import type { TreeBounds } from "./tree-bounds.ts";

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
 * A lock names no path, nor does an open file whose mount is out of sight. They are looked for among at most `maxFiles`
 * files below each directory, once there is one on the same file system at all; with more, their place is unknown. Held but not seen are files that the kernel itself
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
      const path = await realpath(directory);
      const { dev } = await stat(path, { bigint: true });
      folders.push(folderAt(path, dev, mounts));
    } catch (error) {
      unknown.push(`${directory} cannot be looked at: ${errorCode(error) ?? "no mount shows it"}`);
    }
  }

  const mayBelong = belongingRule(options);
  const excluded = new Set(options.exclude);
  const wanted: WantedFile[] = [];
  const settled = await visitProcesses((process) => {
    if (excluded.has(process.pid)) return true;
    const files = filesHeldBy(process, folders, mounts);
    if (files.kind === "vanished") return false;
    const name = nameProcess(process);
    if (files.kind === "unreadable") {
      if (mayBelong(process)) unknown.push(`${name} cannot be looked into: ${files.reason}`);
      return true;
    }
    held.push(...files.held.map((what) => `${name} has ${what}`));
    for (const { target, deleted, ...number } of files.strays) {
      if (!deleted) wanted.push({ ...number, tell: (path) => `${name} has ${path} open` });
      else if (mayBelong(process))
        unknown.push(`${name} has ${target} open, and no mount tells where it was`);
    }
    return true;
  });
  if (!settled) unknown.push("processes came and went faster than they could be read");

  try {
    wanted.push(...lockedFiles(options.exclude ?? []));
    const { maxFiles = 100_000, deadlineAt } = options;
    const below = await findBelow(folders, wanted, { maxFiles, deadlineAt });
    held.push(...below.found);
    unknown.push(...below.unknown);
  } catch (error) {
    unknown.push(error instanceof Error ? error.message : String(error));
  }
  if (held.length > 0) return { state: "held", reasons: tellReasons([...held, ...unknown]) };
  return { state: unknown.length > 0 ? "unknown" : "free", reasons: tellReasons(unknown) };
}
