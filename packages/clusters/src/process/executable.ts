import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";

/** The path that a command's name stands for, searched in PATH unless it is a path; null when nothing there can be executed. */
export async function findExecutable(name: string): Promise<string | null> {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const paths = name.includes("/") ? [name] : folders.map((folder) => join(folder, name));
  for (const path of paths) if (await isAccessible(path, constants.X_OK)) return path;
  return null;
}

/** The first word of a command that cannot be used: a program that is not there, or an absolute path to no readable file. */
export async function findUnusable(command: readonly string[]): Promise<string | null> {
  const [program = "", ...rest] = command;
  if ((await findExecutable(program)) === null) return program;
  for (const word of rest) if (isAbsolute(word) && !(await isAccessible(word, constants.R_OK))) return word;
  return null;
}

async function isAccessible(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch {
    return false;
  }
}
