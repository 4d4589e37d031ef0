import { accessSync, constants, readdirSync } from "node:fs";
import { join } from "node:path";

/** Where Debian keeps servers that are not on an ordinary user's PATH. */
const serverDirectories = ["/usr/sbin", ...postgresDirectories()];

/** The absolute path of a program; null where it is not installed. */
function findProgram(name: string): string | null {
  const directories = [...serverDirectories, ...(process.env["PATH"] ?? "").split(":").filter(Boolean)];
  return directories.map((directory) => join(directory, name)).find(isExecutable) ?? null;
}

/**
 * What a suite needs, for its `skip` and `meta`; the programs' absolute paths, in order.
 *
 * @param part its name in the report of a run in which it is missing
 * @param nowhere the build machine cannot have it
 */
export function findPart(part: string, names: readonly string[], nowhere = false) {
  const found = names.map((name) => ({ name, path: findProgram(name) }));
  const missing = found.filter(({ path }) => path === null).map(({ name }) => name);
  const reason = missing.length === 0 ? null : `no ${missing.join(", no ")} here`;
  return {
    paths: found.map(({ name, path }) => path ?? name),
    options: needing(part, reason, nowhere),
  };
}

/** Options of a suite that cannot run for `reason`; null: it can. */
export const needing = (part: string, reason: string | null, nowhere = false) => ({
  skip: reason !== null,
  meta: { needs: { part, reason: reason ?? "it is there", nowhere } },
});

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Newest version first. */
function postgresDirectories(): readonly string[] {
  const root = "/usr/lib/postgresql";
  try {
    return readdirSync(root)
      .toSorted((one, other) => Number(other) - Number(one))
      .map((version) => join(root, version, "bin"));
  } catch {
    return [];
  }
}
