import { lstat, readFile, realpath, statfs } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize } from "node:path";
import { AppError } from "@baton/protocol";

/** @throws AppError `volume-unfit` for a path that is not plainly a folder below `root`, or has something mounted on it or in it */
export async function assertVolumePath(path: string, root: string): Promise<void> {
  const refuse = (why: string): never => {
    throw new AppError("volume-unfit", `cannot use ${path} as a volume: ${why}`);
  };
  if (!isAbsolute(path) || normalize(path) !== path || path.endsWith("/"))
    refuse("it is no plain absolute path; write it without '.', '..' and a slash at its end");
  const parent = dirname(path);
  const real = await realpath(parent).catch(() => refuse(`${parent} is not there; make it first`));
  if (real !== parent)
    refuse(`a symbolic link leads to it; name ${join(real, path.slice(parent.length))} itself`);
  if (!path.startsWith(`${root}/`)) refuse(`it is outside of ${root}; name one inside`);
  const stat = await lstat(path).catch(() => null);
  if (stat !== null && !stat.isDirectory()) refuse("it is no folder; name another one");
  const mounted = (await mountPoints()).find((point) => point === path || point.startsWith(`${path}/`));
  if (mounted !== undefined)
    refuse(
      `something is mounted at ${mounted}; name a folder below what is mounted, with nothing mounted in it`,
    );
}

/** Room for itself and a little more. */
const slack = 1.02;

/** @throws AppError `volume-space`, before anything is written */
export async function assertRoom(
  folder: string,
  needed: { readonly bytes: number; readonly files: number },
): Promise<void> {
  const { bavail, bsize, ffree, files } = await statfs(folder);
  const [bytes, free] = [Math.ceil(needed.bytes * slack), bavail * bsize];
  if (bytes > free)
    throw new AppError(
      "volume-space",
      `cannot restore into ${folder}: it needs ${bytes} bytes, and ${free} are free; make room`,
    );
  // Some file systems count no files.
  if (files > 0 && needed.files > ffree)
    throw new AppError(
      "volume-space",
      `cannot restore into ${folder}: it needs ${needed.files} files, and ${ffree} can be made; make room`,
    );
}

/** As this process sees them (proc_pid_mountinfo(5)): blanks, newlines and backslashes are octal numbers. */
async function mountPoints(): Promise<readonly string[]> {
  const text = await readFile("/proc/self/mountinfo", "utf8");
  return text
    .split("\n")
    .map((line) =>
      (line.split(" ")[4] ?? "").replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      ),
    );
}
