import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Replaces a file so that after any crash it is either the old one or the new one, whole: temporary file, fsync, rename,
 * fsync of the directory. Mode 0600. Callers do not write the same path twice at the same time.
 */
export async function writeDurably(path: string, content: string): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Makes a rename or a new name in the directory outlive a crash of the machine. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** The content, or null when there is no such file; every other failure is thrown. */
export async function readIfPresent(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return null;
    throw error;
  }
}

/** The `code` of a system error ("ENOENT"), undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
