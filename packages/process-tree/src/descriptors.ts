import { readdirSync, readlinkSync } from "node:fs";
import type { UnreadableReason } from "./environment.ts";
import { errorCode, isGone } from "./proc-file.ts";
import { isDead, readStatNow } from "./process-stat.ts";
import type { ProcessStat } from "./process-stat.ts";

export interface Descriptor {
  /** `/proc/12/fd/3`. */
  readonly path: string;
  /** `socket:[123]`, `/data/dump.rdb`, `/data/dump.rdb (deleted)`. */
  readonly target: string;
}

export type Descriptors =
  | { readonly kind: "read"; readonly descriptors: readonly Descriptor[] }
  /** It ended, or the number is another process's by now. */
  | { readonly kind: "vanished" }
  | { readonly kind: "unreadable"; readonly reason: Exclude<UnreadableReason, "not-in-place"> };

/**
 * What one process has open now. Threads share it; one that made a table of its own (unshare(CLONE_FILES)) is not
 * looked at apart.
 */
export function readDescriptors(stat: ProcessStat): Descriptors {
  const descriptors: Descriptor[] = [];
  let denied: "EACCES" | "EPERM" | undefined;
  for (const folder of livingFolders(stat)) {
    try {
      for (const name of readdirSync(`${folder}/fd`)) {
        const path = `${folder}/fd/${name}`;
        const target = unlessGone(() => readlinkSync(path));
        if (target !== null) descriptors.push({ path, target });
      }
    } catch (error) {
      const reason = errorCode(error);
      if (reason === "EACCES" || reason === "EPERM") denied = reason;
      else if (!isGone(error)) throw error;
    }
  }
  // Also a process that is about to end is refused, and an empty answer has many meanings.
  const now = readStatNow(stat.pid);
  if (now === null || now.startTime !== stat.startTime || isDead(now)) return { kind: "vanished" };
  return denied === undefined ? { kind: "read", descriptors } : { kind: "unreadable", reason: denied };
}

/** Where /proc shows what a process has: with a zombie leader, which let go of all, at each of its other threads. */
export function livingFolders({ pid, state }: ProcessStat): readonly string[] {
  if (state !== "Z") return [`/proc/${pid}`];
  const threads = unlessGone(() => readdirSync(`/proc/${pid}/task`)) ?? [];
  return threads.filter((thread) => thread !== String(pid)).map((thread) => `/proc/${pid}/task/${thread}`);
}

/** Null when what is looked at ended or was closed. */
export function unlessGone<Value>(look: () => Value): Value | null {
  try {
    return look();
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}
