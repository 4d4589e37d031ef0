import { readFileSync } from "node:fs";

export interface Progress {
  readonly bytesDone: number;
  /** As far as it is known: it grows while restic still looks at what there is. */
  readonly bytesTotal: number;
  /** Null while nothing tells how fast it goes. */
  readonly etaMs: number | null;
}

/** By the mean speed since the start, which a burst does not throw off. */
export function progressOf(bytesDone: number, bytesTotal: number, elapsedMs: number): Progress {
  const done = Math.min(bytesDone, bytesTotal);
  const etaMs = done > 0 && elapsedMs > 0 ? Math.round(((bytesTotal - done) / done) * elapsedMs) : null;
  return { bytesDone: done, bytesTotal, etaMs };
}

const lookMs = 500;

/**
 * Tells how much a program has written, by what the kernel counts (proc_pid_io(5)), for one that says nothing itself. It counts a little
 * more than files: the figure is for people.
 */
export function watchWrites(params: {
  readonly pid: number;
  readonly ended: AbortSignal;
  readonly bytesTotal: number;
  readonly onProgress: (progress: Progress) => void;
}): void {
  const startedAt = performance.now();
  const timer = setInterval(() => {
    try {
      const text = readFileSync(`/proc/${params.pid}/io`, "utf8");
      const written = Number(/^wchar: (\d+)$/m.exec(text)?.[1] ?? 0);
      params.onProgress(progressOf(written, params.bytesTotal, performance.now() - startedAt));
    } catch {
      // It has ended, or may not be looked at.
    }
  }, lookMs);
  params.ended.addEventListener("abort", () => clearInterval(timer), { once: true });
}
