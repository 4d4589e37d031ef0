import { randomBytes } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { syncPath, unfinishedPath } from "./unfinished.ts";
import { codeOf, databaseUnavailable } from "./unavailable.ts";

/** 32 random bytes as base64url: safe in URLs, SQL and files. */
const form = /^[A-Za-z0-9_-]{43}$/;

/** Reads the password of an existing database. */
export async function readPassword(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const why = codeOf(error) === "ENOENT" ? "the file is missing" : String(codeOf(error));
    throw databaseUnavailable(
      `cannot read the database's password ${path}: ${why}; restore it, or move the data beside it away to begin anew`,
      error,
    );
  }
  if (form.test(text)) return text;
  throw databaseUnavailable(
    `cannot use the database's password ${path}: the file is damaged; restore it from a backup`,
  );
}

/**
 * Creates the password (mode 0600) unless there is one. It is on the disk, whole, before it has its name:
 * there is never a database whose password was lost, nor two passwords for two callers.
 */
export async function ensurePassword(path: string): Promise<string> {
  const unfinished = await unfinishedPath(dirname(path), "password");
  try {
    await writeFile(unfinished, randomBytes(32).toString("base64url"), {
      mode: 0o600,
      flag: "wx",
      flush: true,
    });
    await link(unfinished, path);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  } finally {
    await rm(unfinished, { force: true });
  }
  await syncPath(dirname(path));
  return readPassword(path);
}
