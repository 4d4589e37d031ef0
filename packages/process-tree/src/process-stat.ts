import { errorCode, readProcFile } from "./proc-file.ts";

/** What /proc/PID/stat says of one process (proc_pid_stat(5)). */
export interface ProcessStat {
  readonly pid: number;
  /**
   * The command's name, at most 15 bytes; the process chooses it, so it may hold blanks, newlines and
   * brackets.
   */
  readonly comm: string;
  /** One letter: R running, S sleeping, D uninterruptible, T stopped, t traced, Z zombie, X dead, I idle. */
  readonly state: string;
  readonly ppid: number;
  readonly processGroup: number;
  readonly session: number;
  /** Field 22: clock ticks after boot, in decimal. Compare as BigInt. */
  readonly startTime: string;
  /** Field 20: threads that still exist, the leader counted. */
  readonly threads: number;
  readonly kernelThread: boolean;
  /**
   * Field 51 is set: the environment is in place. False within an exec, at the exit, or when we may not know.
   */
  readonly environmentPlaced: boolean;
}

const PF_KTHREAD = 0x00200000;

/**
 * Facts about one process, or null when it is really gone.
 * @throws Error when the process exists but may not be looked at, or /proc does not show it
 */
export async function readStat(pid: number): Promise<ProcessStat | null> {
  return readStatNow(pid);
}

/** The same, synchronously, so that a signal can follow with nothing in between. */
export function readStatNow(pid: number): ProcessStat | null {
  if (!Number.isSafeInteger(pid) || pid < 1) {
    throw new RangeError(`cannot look at process ${pid}: a process id is a whole number from 1`);
  }
  const content = readProcFile(`/proc/${pid}/stat`);
  if (content !== null) return parseStat(content);
  if (isConfirmedGone(pid)) return null;
  // The number may have been given to a new process between the two looks; if so it is visible now.
  const again = readProcFile(`/proc/${pid}/stat`);
  if (again !== null) return parseStat(again);
  if (isConfirmedGone(pid)) return null;
  throw new Error(
    `cannot look at process ${pid}: it exists but /proc does not show it; mount /proc without hidepid`,
  );
}

/** Whether a process is dead: gone from the scheduler with all its threads, at most waiting to be reaped. */
export function isDead(stat: ProcessStat): boolean {
  if (stat.state === "X" || stat.state === "x") return true;
  // A leader that called pthread_exit is a zombie too, while its other threads run and write on.
  return stat.state === "Z" && stat.threads <= 1;
}

/** Fields 3 to 9, 20, 22 and 51 of proc_pid_stat(5): one expression costs half of what splitting and checking does. */
const fieldsAfterName =
  /^([A-Za-z]) (-?\d+) (-?\d+) (-?\d+) -?\d+ -?\d+ (\d+)(?: -?\d+){10} (-?\d+) -?\d+ (\d+)(?: -?\d+){28} (-?\d+)[ \n]/;

/** Reads one line of /proc/PID/stat; throws when it has not the form of proc_pid_stat(5). */
export function parseStat(line: string): ProcessStat {
  const open = line.indexOf("(");
  // The name is not escaped and may be `) Z 1 (`, so only the last bracket ends it.
  const close = line.lastIndexOf(")");
  const fields = close < open ? null : fieldsAfterName.exec(line.slice(close + 2));
  const pid = Number.parseInt(line, 10);
  if (fields === null || open < 0 || Number.isNaN(pid))
    throw new Error("cannot read a process's stat: it is not a name in brackets, a state and 48 numbers");
  const [, state = "", ppid, processGroup, session, flags, threads, startTime = "", environmentEnd] = fields;
  return {
    pid,
    comm: line.slice(open + 1, close),
    state,
    ppid: Number(ppid),
    processGroup: Number(processGroup),
    session: Number(session),
    startTime,
    threads: Number(threads),
    kernelThread: (Number(flags) & PF_KTHREAD) !== 0,
    environmentPlaced: environmentEnd !== "0",
  };
}

/** Asks the kernel itself: a /proc that is hidden or not mounted must not pass for a process that is gone. */
function isConfirmedGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return errorCode(error) === "ESRCH";
  }
}
