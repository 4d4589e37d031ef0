import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { newNonce } from "@baton/protocol";
import { hasCode } from "../deadline.ts";

/** Replaces a file in one step that a power cut cannot split. Mode 0600. */
export async function replaceJson(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.${newNonce()}`;
  await writeNewJson(temporary, value);
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Writes a file that must not exist yet, mode 0600, on disk when this returns (but for its name: sync the directory). */
export async function writeNewJson(path: string, value: unknown): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(`${JSON.stringify(value, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A file's JSON, or undefined when there is no such file; every other failure throws. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
