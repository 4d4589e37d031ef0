import { type Stats, statSync } from "node:fs";
import { enableCompileCache, flushCompileCache } from "node:module";
import { join } from "node:path";

const writableByOthers = 0o022;

/**
 * Keeps what Node compiles in the state directory, which halves the next start: after a crash nothing else is waited for. Not in a directory that others
 * can write to, since it is code; and not in one that is yet to be made.
 */
export function keepCompiled(stateDirectory: string): void {
  let seen: Stats;
  try {
    seen = statSync(stateDirectory);
  } catch {
    // Whoever opens it says what is wrong with it, in words.
    return;
  }
  if (!seen.isDirectory() || seen.uid !== process.getuid?.()) return;
  if ((seen.mode & writableByOthers) === 0) enableCompileCache(join(stateDirectory, "compile-cache"));
}

/** A process that is killed writes nothing any more. */
export { flushCompileCache as writeCompiled };
