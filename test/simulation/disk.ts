import type { Scheduler } from "@baton/storage/simulation";

/** What a machine has written, and what of it outlives its power. A crash of a process takes nothing. */
export interface Disk<T> {
  readonly content: T;
  write(content: T): void;
  powerCut(): void;
}

/** @param syncMs how long after a write it is on the disk, of which the writer does not know; 0: before it goes on */
export function createDisk<T>(params: {
  readonly initial: T;
  readonly syncMs: () => number;
  readonly scheduler: Scheduler;
}): Disk<T> {
  let cached = params.initial;
  let durable = params.initial;
  let boot = 0;
  return {
    get content() {
      return cached;
    },
    write(content) {
      cached = content;
      const syncMs = params.syncMs();
      if (syncMs === 0) {
        durable = content;
        return;
      }
      const written = boot;
      params.scheduler.after(syncMs, "fsync", () => {
        if (boot === written) durable = content;
      });
    },
    powerCut() {
      boot += 1;
      cached = durable;
    },
  };
}
