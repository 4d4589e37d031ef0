import { errorCode, readProcFile } from "./proc-file.ts";

export interface Mount {
  /** What `mnt_id` in /proc/PID/fdinfo names. */
  readonly id: string;
  /** Of the file system itself, `8:1`: stat may say something else, as on btrfs. */
  readonly device: string;
  /** Which part of the file system is mounted. */
  readonly root: string;
  /** Where, as the process sees it. */
  readonly point: string;
}

/** Where something is on its file system, however many mounts lead there. */
export interface Place {
  readonly device: string;
  readonly path: string;
}

/**
 * The mounts of one process's namespace, in order (proc_pid_mountinfo(5)); null when it ended.
 * @param process a folder of /proc: `/proc/self`, `/proc/12/task/13`
 */
export function readMounts(process: string): readonly Mount[] | null {
  const text = unlessEnding(() => readProcFile(`${process}/mountinfo`));
  if (text === null) return null;
  return text.split("\n").flatMap((line) => {
    const [id, , device, root, point] = line.split(" ");
    if (id === undefined || device === undefined || root === undefined || point === undefined) return [];
    return [{ id, device, root: unescape(root), point: unescape(point) }];
  });
}

/** The mount that shows this path; the last of several on one point hides the others. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  const above = mounts.filter(({ point }) => isBelow(path, point));
  const deepest = Math.max(...above.map(({ point }) => point.length));
  return above.findLast(({ point }) => point.length === deepest);
}

export function placeOn({ device, root, point }: Mount, path: string): Place {
  return { device, path: join(root, path.slice(point === "/" ? 0 : point.length)) };
}

/** Whether a path is a folder or anything below it. */
export const isBelow = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);

/** `(254, 0)` of stat's `dev` as `254:0` (makedev(3)). */
export function deviceOf(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

/** The kernel writes blanks, newlines and backslashes as octal numbers. */
const unescape = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

const join = (root: string, rest: string): string => `${root === "/" ? "" : root}${rest}` || "/";

/** A process that is about to end has left its namespaces, and is no valid one to ask for mounts. */
function unlessEnding<Value>(look: () => Value): Value | null {
  try {
    return look();
  } catch (error) {
    if (errorCode(error) === "EINVAL") return null;
    throw error;
  }
}
