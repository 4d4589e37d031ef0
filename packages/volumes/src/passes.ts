/** One pass, as it went: a snapshot while the application ran, and its restore on the held target. */
export interface Pass {
  readonly backupMs: number;
  readonly restoreMs: number;
  readonly compareMs: number;
  readonly bytes: number;
  /** What had changed since the pass before. */
  readonly bytesAdded: number;
}

export interface PassPolicy {
  /** 0: the application is stopped at once. */
  readonly maxPasses: number;
  /** A pass that took no longer says that another one would save nothing. */
  readonly smallEnoughMs: number;
}

export interface NextPass {
  readonly next: "pass" | "final";
  readonly why: string;
}

/** Whether to copy once more while the application runs, or to stop it now. */
export function nextPass(passes: readonly Pass[], { maxPasses, smallEnoughMs }: PassPolicy): NextPass {
  const last = passes.at(-1);
  if (maxPasses === 0) return { next: "final", why: "no pass before the stop is wanted" };
  if (last === undefined) return { next: "pass", why: "nothing was copied yet" };
  const lastMs = passMs(last);
  if (lastMs <= smallEnoughMs)
    return {
      next: "final",
      why: `the last pass took ${lastMs} ms, which is no more than ${smallEnoughMs} ms`,
    };
  if (passes.length >= maxPasses) return { next: "final", why: `all ${maxPasses} passes are used up` };
  return { next: "pass", why: `the last pass took ${lastMs} ms, which is more than ${smallEnoughMs} ms` };
}

/**
 * How long the application will be stopped for its volumes: as long as the last pass, for the final one has as much to do. Null before the
 * first, which copies everything and tells nothing of a pass after it but its upper bound.
 */
export function expectedDowntimeMs(passes: readonly Pass[]): number | null {
  const last = passes.at(-1);
  return last === undefined ? null : passMs(last);
}

const passMs = ({ backupMs, restoreMs, compareMs }: Pass): number => backupMs + restoreMs + compareMs;
