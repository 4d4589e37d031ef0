import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Takes a directory for this process alone, until released or until the process ends in any way.
 * Node has no call for file locks; SQLite's exclusive transaction is one (fcntl) that the kernel drops with the
 * process, so that a `kill -9` leaves nothing stale behind. Nothing is ever stored in the file.
 * @throws Error when another process, or another store of this one, has it.
 */
export function lockDirectory(directory: string): { release(): void } {
  const database = new DatabaseSync(join(directory, "lock"), { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    database.close();
    throw new Error(
      `cannot open the store in ${directory}: it is in use by another process; stop that one or use another directory`,
      { cause },
    );
  }
  return { release: () => database.close() };
}
