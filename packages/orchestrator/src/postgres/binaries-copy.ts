import { chmod, copyFile, lstat, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { removeAbandoned, syncPath, syncTree, unfinishedPath } from "./unfinished.ts";
import { codeOf, databaseUnavailable } from "./unavailable.ts";

/**
 * Copies the programs, libraries and data of the package to `<parent>/postgres-<version>`, once, and returns
 * that path. The copy appears by rename when it is complete and on the disk; it is only trusted when it is
 * ours and nobody else can write to it.
 *
 * @param complete makes the copy whole before it gets its name
 */
export async function copyBinaries(
  packageDirectory: string,
  parent: string,
  complete: (copy: string) => Promise<void>,
): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageDirectory, "package.json"), "utf8")) as {
    version: string;
  };
  const name = `postgres-${version}`;
  const target = join(parent, name);
  if ((await mkdir(parent, { recursive: true })) !== undefined) await chmod(parent, 0o755);
  await removeAbandoned(parent, name);
  if (!(await exists(target))) {
    const unfinished = await unfinishedPath(parent, name);
    try {
      await makeReadableDirectory(unfinished);
      await copyTree(join(packageDirectory, "native"), join(unfinished, "native"));
      await complete(unfinished);
      await syncTree(unfinished);
      await rename(unfinished, target);
      await syncPath(parent);
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true });
      // Somebody else was faster: theirs is complete.
      if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "EEXIST") throw error;
    }
  }
  await assertTrusted(parent, target);
  return target;
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Modes are set, not copied: the source may be closed to others or open to everyone. */
async function copyTree(from: string, to: string): Promise<void> {
  await makeReadableDirectory(to);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      await copyTree(source, target);
    } else if (entry.isFile()) {
      await copyFile(source, target);
      await chmod(target, from.endsWith("/bin") ? 0o755 : 0o644);
    }
  }
}

async function makeReadableDirectory(path: string): Promise<void> {
  await mkdir(path);
  await chmod(path, 0o755);
}

async function assertTrusted(parent: string, target: string): Promise<void> {
  const [above, own] = [await lstat(parent), await lstat(target)];
  const self = process.getuid?.();
  const ours = above.isDirectory() && own.isDirectory() && above.uid === self && own.uid === self;
  if (ours && (own.mode & 0o022) === 0 && (self !== 0 || (above.mode & 0o022) === 0)) return;
  throw databaseUnavailable(
    `cannot use the copy of Postgres in ${target}: it or its parent belongs to another user or can be changed by ` +
      "others; remove it and start again",
  );
}
