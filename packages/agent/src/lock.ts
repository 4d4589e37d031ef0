import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { identify, isAlive } from "@baton/process-tree";
import type { ProcessIdentity } from "@baton/process-tree";
import { AppError } from "@baton/protocol";
import { errorCode } from "./durable-file.ts";

/** Released by `release`, or by the holder's death. */
export interface StateLock {
  release(): Promise<void>;
}

/**
 * One agent per state directory. The lock names its holder by pid, start time and boot id: a dead holder's lock is taken
 * over, a living one's is respected.
 *
 * @throws AppError `in-use` while the holder lives (or that cannot be known)
 */
export async function lockStateDirectory(path: string): Promise<StateLock> {
  const own = await identify(process.pid);
  if (own === null) throw new AppError("internal", "cannot lock the state directory: /proc does not show us");
  const draft = `${path}.${own.pid}`;
  await writeFile(draft, JSON.stringify(own), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 10; attempt += 1) {
      if (await tryLink(draft, path)) return { release: () => rm(path, { force: true }) };
      await removeIfDead(path, `${draft}.dead`);
    }
  } finally {
    await rm(draft, { force: true });
  }
  throw new AppError("in-use", `cannot lock ${path}: other agents take it again and again`);
}

/** Unlike a rename, a link fails when the name is taken. */
async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

async function removeIfDead(path: string, aside: string): Promise<void> {
  const holder = await readHolder(path);
  if (holder === null) return;
  if (holder.identity !== null && (await isAlive(holder.identity)))
    throw new AppError(
      "in-use",
      `cannot use the state directory of ${path}: the agent with process id ${holder.identity.pid} lives and holds it`,
    );
  try {
    await rename(path, aside);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  // Somebody may have taken it over between the look and the rename: then what was moved is a living lock, and goes back.
  if ((await readFile(aside, "utf8")) !== holder.content) await tryLink(aside, path);
  await rm(aside, { force: true });
}

interface Holder {
  readonly content: string;
  /** Null when the content names nobody: a lock is linked whole, so it is the remains of a crashed machine. */
  readonly identity: ProcessIdentity | null;
}

async function readHolder(path: string): Promise<Holder | null> {
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return null;
    throw error;
  }
  try {
    const { pid, startTime, bootId } = JSON.parse(content) as Partial<ProcessIdentity>;
    if (typeof pid === "number" && typeof startTime === "string" && typeof bootId === "string")
      return { content, identity: { pid, startTime, bootId } };
  } catch {
    // Not JSON: below.
  }
  return { content, identity: null };
}
