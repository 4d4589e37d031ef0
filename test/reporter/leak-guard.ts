import { setTimeout as delay } from "node:timers/promises";
import { afterAll } from "vitest";

/** How long a file may take to close what its last test left closing. */
const settleMs = 3_000;

/*
 * A setup file: fails a test file that leaves something running in its process, a timer, a socket, a server or a
 * child. A handle that was unref'd does not count. What was there before the file began is vitest's own.
 */
const before = countResources();

afterAll(async () => {
  const deadlineAt = performance.now() + settleMs;
  for (;;) {
    // Unref'd, or this wait would find itself.
    await delay(20, undefined, { ref: false });
    const left = resourcesLeft();
    if (left.length === 0) return;
    if (performance.now() > deadlineAt) throw new Error(`this file leaves running: ${left.join(", ")}`);
  }
});

function countResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

function resourcesLeft(): string[] {
  return [...countResources()]
    .map(([kind, count]) => ({ kind, count: count - (before.get(kind) ?? 0) }))
    .filter(({ count }) => count > 0)
    .map(({ kind, count }) => `${count} ${kind}`);
}
