import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import { isGone } from "./proc-file.ts";

export interface WalkedFile {
  readonly path: string;
  readonly dev: bigint;
  readonly ino: bigint;
}

/**
 * Shows everything below a folder, and the folder itself, to `visit`; symbolic links are not followed. One after the
 * other, so that a file system that hangs holds up one thread only.
 * @returns false when there is more than `limit`, or `isLate` said to end
 * @throws Error when something may not be looked at
 */
export async function walkFiles(
  folder: string,
  { limit, isLate }: { readonly limit: number; readonly isLate: () => boolean },
  visit: (file: WalkedFile) => void,
): Promise<boolean> {
  let left = limit;
  const paths = [folder];
  for (let path = paths.pop(); path !== undefined; path = paths.pop()) {
    if (left-- <= 0 || isLate()) return false;
    try {
      const stat = await lstat(path, { bigint: true });
      visit({ path, dev: stat.dev, ino: stat.ino });
      if (!stat.isDirectory()) continue;
      for await (const { name } of await opendir(path)) {
        paths.push(join(path, name));
        if (paths.length > left) return false;
      }
    } catch (error) {
      // It was removed meanwhile.
      if (!isGone(error)) throw error;
    }
  }
  return true;
}
