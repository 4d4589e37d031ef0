import { readdirSync } from "node:fs";
import { errorCode, isGone, readProcFile } from "./proc-file.ts";
import { isDead, readStatNow } from "./process-stat.ts";
import type { ProcessStat } from "./process-stat.ts";

/** An environment variable that every process of a tree inherits. */
export interface Cookie {
  readonly name: string;
  readonly value: string;
  /** `value` is only how the variable's value begins. Default: false. */
  readonly isPrefix?: boolean | undefined;
}

/**
 * Why an environment tells nothing: not permitted, not there now (within an exec, or at the exit), or nothing in it is a variable: the process
 * has written its title over it, as nginx does, or cleared it.
 */
export type UnreadableReason = "EACCES" | "EPERM" | "not-in-place" | "overwritten";

export type CookieSearch =
  | { readonly kind: "borne" | "absent" | "vanished" }
  | { readonly kind: "unreadable"; readonly reason: UnreadableReason };

const overwritten: CookieSearch = { kind: "unreadable", reason: "overwritten" };

/** Looks for exactly `NAME=VALUE` (or what begins so, if that is asked for) in the environment of one living process. */
export function searchCookie(stat: ProcessStat, cookie: Cookie): CookieSearch {
  const first = readOnce(stat, cookie);
  // Empty within an exec, and in place a moment later: only what is empty in place has no variable.
  return first.kind === "unreadable" && first.reason === "overwritten" ? readOnce(stat, cookie) : first;
}

function readOnce(stat: ProcessStat, cookie: Cookie): CookieSearch {
  const entry = `\0${cookie.name}=${cookie.value}${cookie.isPrefix === true ? "" : "\0"}`;
  let denied: UnreadableReason | undefined;
  for (const path of environmentPaths(stat)) {
    try {
      const content = readProcFile(path);
      if (content !== null && content.length > 0) {
        if (hasEntry(content, entry)) return { kind: "borne" };
        return /(^|\0)[^=\0]+=/.test(content) ? { kind: "absent" } : overwritten;
      }
    } catch (error) {
      const reason = errorCode(error);
      if (reason !== "EACCES" && reason !== "EPERM") throw error;
      denied = reason;
    }
  }

  // Nothing to read has many meanings; only a second look tells them apart. A process that is about to end is
  // refused too, as its memory goes first.
  const now = readStatNow(stat.pid);
  if (now === null || now.startTime !== stat.startTime || isDead(now)) return { kind: "vanished" };
  if (denied !== undefined) return { kind: "unreadable", reason: denied };
  return now.environmentPlaced ? overwritten : { kind: "unreadable", reason: "not-in-place" };
}

/** @throws TypeError when the cookie could never stand in an environment, or would be found in any */
export function requireCookie({ name, value }: Cookie): void {
  if (name === "" || value === "" || /[=\0]/.test(name) || value.includes("\0")) {
    throw new TypeError(
      `cannot look for the environment variable ${JSON.stringify(name)}: name or value is not usable`,
    );
  }
}

/** A zombie leader has given up its memory, and is refused to all but root; its threads still show it. */
function environmentPaths({ pid, state }: ProcessStat): string[] {
  if (state !== "Z") return [`/proc/${pid}/environ`];
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}/environ`);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function hasEntry(environment: string, entry: string): boolean {
  // The first entry has no NUL before it, and an environment that was overwritten may have none at its end.
  return `\0${environment}\0`.includes(entry);
}
