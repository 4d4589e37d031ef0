import { readFileSync } from "node:fs";
import { isDead, readStatNow } from "./process-stat.ts";
import type { ProcessStat } from "./process-stat.ts";

/** Names one process for ever: a pid alone is given again to strangers. Safe to store as JSON. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks after boot, in decimal. */
  readonly startTime: string;
  /** The kernel's id of this boot; start times of different boots do not compare. */
  readonly bootId: string;
}

let bootId: string | undefined;

/**
 * The id of the running boot, a UUID.
 * @throws Error when /proc does not offer it (not Linux, or /proc is not mounted whole)
 */
export async function readBootId(): Promise<string> {
  return currentBootId();
}

/** The same, synchronously; read once, since no process outlives its boot. */
export function currentBootId(): string {
  bootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return bootId;
}

/**
 * The identity of the process that has this pid now (a zombie too), or null when there is none.
 * @throws Error when that cannot be known: not permitted, or hidden by /proc
 */
export async function identify(pid: number): Promise<ProcessIdentity | null> {
  const stat = readStatNow(pid);
  return stat === null ? null : identityOf(stat);
}

/**
 * Whether this very process still lives. A zombie is dead unless threads of it still run; a stopped process
 * is alive.
 * @throws Error when that cannot be known, which is never the same as dead
 */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return isAliveNow(identity);
}

/** The same, synchronously. */
export function isAliveNow(identity: ProcessIdentity): boolean {
  if (identity.bootId !== currentBootId()) return false;
  const stat = readStatNow(identity.pid);
  return stat !== null && stat.startTime === identity.startTime && !isDead(stat);
}

export function identityOf(stat: ProcessStat): ProcessIdentity {
  return { pid: stat.pid, startTime: stat.startTime, bootId: currentBootId() };
}

/** One string for one identity, to compare and to look up. */
export function identityKey({ pid, startTime, bootId }: ProcessIdentity): string {
  return `${pid}:${startTime}:${bootId}`;
}
