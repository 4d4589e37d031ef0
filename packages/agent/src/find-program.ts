import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

export type FoundProgram =
  | { readonly kind: "found"; readonly path: string }
  /** By shell convention 127 and 126. */
  | { readonly kind: "missing" | "forbidden"; readonly status: 127 | 126; readonly detail: string };

/** Where a command would be executed from, as execvp(3) looks for it, so that a wrong one is told in words before anything is recorded. */
export function findProgram(params: {
  readonly program: string;
  readonly path: string | undefined;
  readonly workingDirectory: string | undefined;
}): FoundProgram {
  const { program, path, workingDirectory } = params;
  const directory =
    workingDirectory === undefined ? ownDirectory() : resolve(ownDirectory(), workingDirectory);
  if (workingDirectory !== undefined && !isDirectory(directory))
    // Otherwise Node would say that the program is missing.
    return {
      kind: "missing",
      status: 127,
      detail: `cannot execute "${program}": there is no working directory ${directory}`,
    };
  const candidates = program.includes("/")
    ? [resolve(directory, program)]
    : (path ?? "/usr/local/bin:/usr/bin:/bin")
        .split(delimiter)
        .map((each) => join(resolve(directory, each), program));
  let forbidden: string | null = null;
  for (const candidate of candidates) {
    try {
      if (!statSync(candidate).isFile()) {
        forbidden ??= `${candidate} is not a file`;
        continue;
      }
    } catch {
      continue;
    }
    try {
      accessSync(candidate, constants.X_OK);
      return { kind: "found", path: candidate };
    } catch {
      forbidden ??= `${candidate} may not be executed by user ${process.getuid?.() ?? "?"}`;
    }
  }
  if (forbidden !== null)
    return { kind: "forbidden", status: 126, detail: `cannot execute "${program}": ${forbidden}` };
  const where = program.includes("/") ? "there is no such file" : "it is in no directory of PATH";
  return { kind: "missing", status: 127, detail: `cannot execute "${program}": ${where}` };
}

/** Ours may have been deleted: what is looked for by an absolute path is found all the same. */
function ownDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return "/";
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
