/** What single cases need of the machine, for `meta.needs`. */
import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

export const isRoot = process.getuid?.() === 0;
export const root = { part: "root", reason: "the tests run as an ordinary user" };

const answers = (program: string): boolean =>
  spawnSync(program, ["--version"], { timeout: 10_000 }).error === undefined;

export const hasCompiler = answers("gcc");
export const compiler = { part: "gcc", reason: "no gcc on PATH" };

/** Builds `fixtures/<name>.c` into a directory and gives its path. @throws with what the compiler said */
export async function compile(name: string, directory: string, kind: "program" | "library"): Promise<string> {
  const output = join(directory, kind === "program" ? name : `${name}.so`);
  const source = join(import.meta.dirname, "fixtures", `${name}.c`);
  const shape = kind === "program" ? ["-pthread"] : ["-shared", "-fPIC"];
  await promisify(execFile)("gcc", ["-O1", "-Wall", ...shape, "-o", output, source, "-ldl"], {
    timeout: 60_000,
  });
  return output;
}
