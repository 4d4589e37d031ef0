import { type ErrorCode, isAppError } from "@baton/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { LeaseChange } from "./lease.ts";
import { applyLeaseWrite, changeLease, planLeaseChange, readLease } from "./lease-write.ts";
import { burn, create, fence, handOver, restart, run } from "./fixtures/lease-samples.ts";
import { type MemoryFault, createMemoryBucket } from "./memory-bucket.ts";
import { createTestClock } from "./test-clock.ts";

const prefix = "ledger/";

/** What happens just before a request: nothing, a late write arrives, or a rival writes. */
const events = fc.array(fc.constantFrom("nothing", "nothing", "late", "rival"), { maxLength: 20 });
const faults = fc.array(
  fc.constantFrom<MemoryFault>(
    { kind: "unclear", write: "applied" },
    { kind: "unclear", write: "dropped" },
    { kind: "unclear", write: "late" },
    { kind: "refused" },
    { kind: "error", code: "storage-unreachable" },
    { kind: "unclear", write: "dropped", on: "get" },
  ),
  { maxLength: 12 },
);

/** A write, the change of a rival that excludes it, and what the rival hears when the write came first. */
const races: readonly {
  readonly before: readonly LeaseChange[];
  readonly ours: LeaseChange;
  readonly rival: LeaseChange;
  readonly rivalRefused: ErrorCode;
}[] = [
  { before: [create], ours: burn, rival: run, rivalRefused: "grant-refused" },
  { before: [create, run], ours: restart, rival: handOver, rivalRefused: "lease-mismatch" },
  { before: [create, run], ours: handOver, rival: restart, rivalRefused: "stale-epoch" },
  { before: [create, run], ours: fence, rival: restart, rivalRefused: "lease-mismatch" },
  { before: [create, run], ours: restart, rival: fence, rivalRefused: "lease-mismatch" },
];

/** Rule 7: what is said of a write is true, then and for ever, whatever the network does to it. */
it.each(races)("is never wrong about a write ($ours.kind against $rival.kind)", async (race) => {
  const seen = { applied: 0, superseded: 0, unknown: 0 };
  await fc.assert(
    fc.asyncProperty(
      faults,
      events,
      fc.integer({ min: 1, max: 2_000 }),
      async (planted, timeline, deadlineMs) => {
        let rival = false;
        const next = timeline.values();
        const bucket = createMemoryBucket({
          beforeRequest: async () => {
            if (rival) return;
            const event = next.next().value;
            if (event === "late") bucket.deliverLate();
            if (event !== "rival") return;
            rival = true;
            // Refused when our write came first.
            await changeLease({
              store,
              prefix,
              change: race.rival,
              deadlineMs: 10_000,
              clock: createTestClock(),
            }).catch((error: unknown) => {
              if (!isAppError(error) || error.code !== race.rivalRefused) throw error;
            });
            rival = false;
          },
        });
        const store = bucket.open();
        const clock = createTestClock();
        rival = true;
        for (const change of race.before) await changeLease({ store, prefix, change, deadlineMs, clock });
        const write = planLeaseChange({
          current: await readLease({ store, prefix, timeoutMs: 1_000 }),
          change: race.ours,
        });
        rival = false;
        bucket.inject(...planted);

        const said = await applyLeaseWrite({ store, write, deadlineMs, clock }).then(
          ({ kind }) => kind,
          (error: unknown) => {
            expect(error).toMatchObject({ code: "storage-unclear" });
            return "unknown" as const;
          },
        );
        bucket.deliverLate();
        const commits = bucket.commits.filter(({ body }) => body === write.body).length;
        seen[said] += 1;
        expect(commits).toBeLessThanOrEqual(1);
        if (said === "applied") expect(commits).toBe(1);
        if (said === "superseded") expect(commits).toBe(0);
      },
    ),
    { numRuns: 500, seed: 7 },
  );
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(10);
});
