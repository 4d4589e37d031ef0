import { isAppError } from "@baton/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type MemoryFault, createMemoryBucket } from "./memory-bucket.ts";
import { putReceipt, receiptKey } from "./receipt-objects.ts";
import { createTestClock } from "./test-clock.ts";

const prefix = "ledger/";
const key = "op-00000000000000000001.stop.0";

/** What happens just before a request: nothing, a late write arrives, or an earlier life of the agent wrote the same, or another receipt. */
const events = fc.array(fc.constantFrom("nothing", "nothing", "nothing", "late", "same", "other"), {
  maxLength: 12,
});
const faults = fc.array(
  fc.constantFrom<MemoryFault>(
    { kind: "unclear", write: "applied" },
    { kind: "unclear", write: "dropped" },
    { kind: "unclear", write: "late" },
    { kind: "refused" },
    { kind: "error", code: "storage-unreachable" },
    { kind: "unclear", write: "dropped", on: "get" },
  ),
  { maxLength: 8 },
);

/** Rule 17: a stop is acknowledged with a receipt in the bucket only if it is there, for good. */
it("says of a receipt that it is there, or that another one is, only if that is so for ever", async () => {
  const seen = { stored: 0, present: 0, "command-conflict": 0, "storage-unclear": 0 };
  await fc.assert(
    fc.asyncProperty(
      faults,
      events,
      fc.integer({ min: 1, max: 2_000 }),
      async (planted, timeline, timeoutMs) => {
        const next = timeline.values();
        let rival = false;
        const bucket = createMemoryBucket({
          beforeRequest: async () => {
            if (rival) return;
            const event = next.next().value;
            if (event === "late") bucket.deliverLate();
            if (event !== "same" && event !== "other") return;
            rival = true;
            const body = event === "same" ? "ours" : "theirs";
            const condition = { kind: "absent" } as const;
            await store
              .put({ key: receiptKey(prefix, key), body, condition, timeoutMs })
              .catch((error: unknown) => {
                if (!isAppError(error)) throw error;
              });
            rival = false;
          },
        });
        const store = bucket.open();
        bucket.inject(...planted);
        const said = await putReceipt({
          store,
          prefix,
          key,
          jws: "ours",
          timeoutMs,
          clock: createTestClock(),
        }).catch((error: unknown) => {
          if (!isAppError(error)) throw error;
          return error.code as "command-conflict" | "storage-unclear";
        });
        bucket.deliverLate();

        const [first, ...more] = bucket.commits;
        seen[said] += 1;
        expect(more).toEqual([]);
        if (said === "stored" || said === "present") expect(first?.body).toBe("ours");
        if (said === "command-conflict") expect(first?.body).toBe("theirs");
      },
    ),
    { numRuns: 500, seed: 7 },
  );
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(10);
});
