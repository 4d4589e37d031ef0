import { beforeEach, describe, expect, it } from "vitest";
import { type LeaseView, type LeaseWrite, type LeaseWriteResult } from "./lease-write.ts";
import { applyLeaseWrite, changeLease, planLeaseChange, readLease } from "./lease-write.ts";
import type { LeaseChange } from "./lease.ts";
import { burn, create, harbor, operation, owner, renew, run } from "./fixtures/lease-samples.ts";
import { type MemoryBucket, createMemoryBucket } from "./memory-bucket.ts";
import type { ObjectStore } from "./object-store.port.ts";
import { createTestClock } from "./test-clock.ts";

const { prefix } = create;
let bucket: MemoryBucket;
let store: ObjectStore;
beforeEach(() => {
  bucket = createMemoryBucket();
  store = bucket.open();
});

const read = (): Promise<LeaseView | null> => readLease({ store, prefix, timeoutMs: 1_000 });
const change = (wanted: LeaseChange): Promise<LeaseView> =>
  changeLease({ store, prefix, change: wanted, deadlineMs: 10_000, clock: createTestClock() });
const plan = async (wanted: LeaseChange): Promise<LeaseWrite> =>
  planLeaseChange({ current: await read(), change: wanted });
const apply = (write: LeaseWrite): Promise<LeaseWriteResult> =>
  applyLeaseWrite({ store, write, deadlineMs: 10_000, clock: createTestClock() });

describe("a write of which nobody heard, with many after it", () => {
  const lap = async (epoch: number): Promise<void> => {
    const agent = { owner, holder: harbor, epoch };
    await change({ kind: "burn", ...agent, grant: `grant-${epoch}` });
    const from = { holder: harbor, epoch, run: null };
    await change({ kind: "grant", owner, from, holder: harbor, grant: `grant-${epoch + 1}`, operation });
  };
  const unheard = async (write: LeaseWrite, was: "applied" | "dropped") => {
    bucket.inject({ kind: "unclear", write: was });
    const said = applyLeaseWrite({ store, write, deadlineMs: 1, clock: createTestClock() });
    await expect(said).rejects.toEqual(expect.objectContaining({ code: "storage-unclear" }));
  };

  it.each(["applied", "dropped"] as const)("is not guessed to have been %s", async (was) => {
    await change(create);
    const write = await plan(burn);
    await unheard(write, was);
    if (was === "dropped") await change(burn);
    const from = { holder: harbor, epoch: 1, run: null };
    await change({ kind: "grant", owner, from, holder: harbor, grant: "grant-2", operation });
    for (let epoch = 2; epoch < 6; epoch += 1) await lap(epoch);
    expect(await apply(write)).toEqual({ kind: "superseded", wasTaken: null, current: await read() });
  });

  it("is known as long as the lease remembers what was before it", async () => {
    await change(create);
    const write = await plan(run);
    await unheard(write, "dropped");
    // With the first one these are eight.
    for (let epoch = 1; epoch < 4; epoch += 1) await lap(epoch);
    await change({ ...burn, epoch: 4, grant: "grant-4" } as LeaseChange);
    expect((await read())?.lease.history).toHaveLength(8);
    expect(await apply(write)).toEqual({ kind: "superseded", wasTaken: false, current: await read() });
  });

  it("is known not to be there, though it was the first, while the whole history is", async () => {
    const write = await plan(create);
    await unheard(write, "dropped");
    await change({ ...create, grant: "another" });
    expect(await apply(write)).toMatchObject({ kind: "superseded", wasTaken: false });
  });

  it("is never known when it was a renewal", async () => {
    await change(create);
    await change(run);
    const write = await plan(renew);
    await unheard(write, "applied");
    await change(renew);
    expect(await apply(write)).toMatchObject({ kind: "superseded", wasTaken: null });
  });
});
