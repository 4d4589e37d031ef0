import { readFileSync } from "node:fs";
import { readProcFile } from "./proc-file.ts";

/** What /proc/PID/status says about a process's rights (proc_pid_status(5)). */
export interface ProcessRights {
  /** Real, effective, saved and file system user id. */
  readonly uids: readonly number[];
  readonly noNewPrivileges: boolean;
  /** Holds CAP_SETUID, and may therefore start processes of any user. */
  readonly mayChangeUser: boolean;
  /** Holds CAP_SYS_PTRACE, and therefore sees what hidepid hides. */
  readonly maySeeAll: boolean;
}

const CAP_SETUID = 7n;
const CAP_SYS_PTRACE = 19n;

/**
 * Whether no_new_privs is set for a process: neither it nor anything it starts can gain rights by executing a
 * setuid file (prctl(2)). `setpriv --no-new-privs COMMAND` starts a program so. Says nothing about rights it
 * has already.
 * @throws Error when the process is gone
 */
export async function hasNoNewPrivileges(pid: number | "self"): Promise<boolean> {
  const rights = readRights(pid);
  if (rights === null) throw new Error(`cannot read the privileges of process ${pid}: it is gone`);
  return rights.noNewPrivileges;
}

/** The rights of a process, or null when it is gone. */
export function readRights(pid: number | "self"): ProcessRights | null {
  const text = readProcFile(`/proc/${pid}/status`);
  if (text === null) return null;
  // The name stands first and cannot forge a line: here, unlike in stat, the kernel escapes newlines.
  const line = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)?.[1] ?? "";
  const uids = line("Uid").split(/\s+/).map(Number);
  if (uids.length !== 4 || !uids.every(Number.isSafeInteger)) {
    throw new Error(`cannot read the user of process ${pid}: its status has no four ids`);
  }
  const capable = (set: string, bit: bigint): boolean =>
    ((BigInt(`0x${line(set) || "0"}`) >> bit) & 1n) === 1n;
  return {
    uids,
    noNewPrivileges: line("NoNewPrivs") === "1",
    mayChangeUser: capable("CapPrm", CAP_SETUID),
    maySeeAll: capable("CapEff", CAP_SYS_PTRACE),
  };
}

/**
 * Makes sure that a process missing from /proc is missing indeed, and gives our own rights.
 * @throws Error when /proc belongs to another pid namespace or hides the processes of others (hidepid)
 */
export function requireWholeProc(): ProcessRights {
  const own = readRights("self");
  if (own === null) throw new Error("cannot list the processes: /proc is not mounted");
  const self = Number.parseInt(readFileSync("/proc/self/stat", "utf8"), 10);
  if (self !== process.pid) {
    throw new Error("cannot list the processes: /proc belongs to another pid namespace; mount the own one");
  }
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const proc = mounts.findLast((mount) => mount.split(" ")[4] === "/proc");
  if (proc !== undefined && /[ ,]hidepid=(?!0|off)/.test(proc) && !own.maySeeAll) {
    throw new Error(
      "cannot list the processes: /proc hides some (hidepid); mount it without, or grant CAP_SYS_PTRACE",
    );
  }
  return own;
}
