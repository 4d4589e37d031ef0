import { readFile } from "node:fs/promises";
import { codeOf } from "./unavailable.ts";

/** A process that cannot be mistaken for a later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since boot, as text: field 22 of /proc/PID/stat (proc_pid_stat(5)). */
  readonly startTicks: string;
}

/**
 * The running process with this pid; `undefined` when there is none. A zombie counts as none: it holds
 * nothing any more, and below a pid 1 that does not reap it stays for ever.
 */
export async function findProcess(pid: number): Promise<ProcessIdentity | undefined> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH") return undefined;
    throw error;
  }
  // The command name (field 2) may hold spaces and parentheses; the last ")" ends it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, startTicks] = [fields[0], fields[19]];
  if (state === undefined || startTicks === undefined) throw new Error(`cannot read /proc/${pid}/stat`);
  return state === "Z" || state === "X" ? undefined : { pid, startTicks };
}

export async function isRunning(process: ProcessIdentity): Promise<boolean> {
  return (await findProcess(process.pid))?.startTicks === process.startTicks;
}
