/** The one end of a stop. It only ever moves closer. Times on the clock of `performance.now()`, in ms: wall clocks jump. */
export interface Deadline {
  readonly at: number;
  /** Aborts when the end moved closer: whoever waits looks at it again. A new one is there afterwards. */
  readonly moved: AbortSignal;
  leftMs(): number;
  /** Later ones are ignored. */
  shrinkTo(at: number): void;
}

export function createDeadline(at: number): Deadline {
  let end = at;
  let moved = new AbortController();
  return {
    get at() {
      return end;
    },
    get moved() {
      return moved.signal;
    },
    leftMs: () => Math.max(0, end - performance.now()),
    shrinkTo(earlier) {
      if (!(earlier < end)) return;
      end = earlier;
      const before = moved;
      moved = new AbortController();
      before.abort();
    },
  };
}
