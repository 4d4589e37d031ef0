import { readProcFile } from "./proc-file.ts";

/** One lock that is held: by flock, fcntl (POSIX), an open file description, or a lease. */
export interface FileLock {
  /** `FLOCK`, `POSIX`, `OFDLCK`, `LEASE` … as the kernel names it. */
  readonly kind: string;
  /** Null for what no single process holds (an open file description), or one of another pid namespace. */
  readonly pid: number | null;
  /** `8:1`. */
  readonly device: string;
  readonly inode: string;
}

/** The locks of this machine, without those that only wait. @throws Error when /proc does not offer them */
export function readFileLocks(): readonly FileLock[] {
  const text = readProcFile("/proc/locks");
  if (text === null) throw new Error("cannot list the file locks: /proc/locks is not there");
  return parseFileLocks(text);
}

/** @throws Error for any line that is not of the form of proc_locks(5) */
export function parseFileLocks(text: string): readonly FileLock[] {
  return text.split("\n").flatMap((line) => {
    if (line === "" || /^\d+:\s+->/.test(line)) return [];
    const [, kind, pid, major, minor, inode] =
      /^\d+: (\S+)\s+\S+\s+\S+\s+(-?\d+) (?:([0-9a-f]+):([0-9a-f]+):(\d+)|<none>:0) /.exec(line) ?? [];
    if (kind === undefined)
      throw new Error(`cannot read the file locks: a line is ${JSON.stringify(line.slice(0, 200))}`);
    // A lease may have no file left.
    if (major === undefined || minor === undefined || inode === undefined) return [];
    const device = `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}`;
    return [{ kind, pid: Number(pid) > 0 ? Number(pid) : null, device, inode }];
  });
}
