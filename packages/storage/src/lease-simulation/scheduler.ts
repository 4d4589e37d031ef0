/** Virtual time: what is due next happens next, and nothing else happens until all of its consequences are done. */
export interface Scheduler {
  nowMs(): number;
  /** @returns what takes it back */
  after(delayMs: number, what: string, act: () => void): () => void;
  /** Lets so many events happen, or all that there are, and calls `check` after each. @returns how many happened */
  run(events: number, check: () => void): Promise<number>;
  /** The last events, oldest first; empty unless asked for. */
  readonly trace: readonly string[];
  note(line: string): void;
}

interface Due {
  readonly atMs: number;
  readonly what: string;
  readonly act: () => void;
  isOff: boolean;
}

const usualTraceLength = 60;

export function createScheduler(params: {
  readonly isTraced: boolean;
  readonly traceLength?: number | undefined;
}): Scheduler {
  const { isTraced, traceLength = usualTraceLength } = params;
  /** Latest first. */
  const queue: Due[] = [];
  const trace: string[] = [];
  let now = 0;
  const note = (line: string): void => {
    if (!isTraced) return;
    trace.push(`${String(now).padStart(8)} ms  ${line}`);
    if (trace.length > traceLength) trace.shift();
  };
  return {
    trace,
    note,
    nowMs: () => now,
    after(delayMs, what, act) {
      const due: Due = { atMs: now + delayMs, what, act, isOff: false };
      let at = queue.length;
      while (at > 0 && (queue[at - 1] as Due).atMs <= due.atMs) at -= 1;
      queue.splice(at, 0, due);
      return () => {
        due.isOff = true;
      };
    },
    async run(events, check) {
      let happened = 0;
      for (let due = queue.pop(); due !== undefined && happened < events; due = queue.pop()) {
        if (due.isOff) continue;
        now = due.atMs;
        note(due.what);
        due.act();
        // Every promise that this settles, and that those settle, runs before the next macrotask.
        await new Promise((resolve) => setImmediate(resolve));
        happened += 1;
        check();
      }
      return happened;
    },
  };
}
