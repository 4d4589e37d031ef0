import { isAppError } from "@baton/protocol";
import { beforeEach, describe, expect, it } from "vitest";
import { type LeaseView, applyLeaseWrite, changeLease, planLeaseChange, readLease } from "./lease-write.ts";
import { type LeaseChange, leaseKey } from "./lease.ts";
import { burn, create, fence, handOver, harbor, island, operation, owner } from "./fixtures/lease-samples.ts";
import { renew, restart, run, runOf, stop } from "./fixtures/lease-samples.ts";
import { type MemoryBucket, type MemoryFault, createMemoryBucket } from "./memory-bucket.ts";
import type { ObjectStore } from "./object-store.port.ts";
import { createTestClock } from "./test-clock.ts";

const prefix = "ledger/";
const key = leaseKey(prefix);
const timeoutMs = 1_000;
const refusedWith = (code: string): unknown => expect.objectContaining({ code });

let bucket: MemoryBucket;
let store: ObjectStore;
beforeEach(() => {
  bucket = createMemoryBucket();
  store = bucket.open();
});

const read = (): Promise<LeaseView | null> => readLease({ store, prefix, timeoutMs });
const change = (wanted: LeaseChange): Promise<LeaseView> =>
  changeLease({ store, prefix, change: wanted, deadlineMs: 10_000, clock: createTestClock() });
const plan = async (wanted: LeaseChange) => planLeaseChange({ current: await read(), change: wanted });
const apply = (write: Awaited<ReturnType<typeof plan>>) =>
  applyLeaseWrite({ store, write, deadlineMs: 10_000, clock: createTestClock() });
const commitsOf = (nonce: string): number =>
  bucket.commits.filter(({ body }) => (JSON.parse(body) as { nonce: string }).nonce === nonce).length;

describe("readLease", () => {
  it("gives null only where the store says that there is none", async () => {
    expect(await read()).toBeNull();
    bucket.inject({ kind: "error", code: "storage-bucket-missing", on: "get" });
    await expect(read()).rejects.toEqual(refusedWith("storage-bucket-missing"));
  });

  it.each(["not JSON", "{}", '{"version":2}'])("refuses %s", async (body) => {
    await store.put({ key, body, timeoutMs });
    await expect(read()).rejects.toEqual(refusedWith("lease-mismatch"));
  });

  it("refuses the lease of another prefix that was copied here", async () => {
    const { body } = planLeaseChange({ current: null, change: { ...create, prefix: "shop/" } });
    await store.put({ key, body, timeoutMs });
    await expect(read()).rejects.toEqual(refusedWith("lease-mismatch"));
  });
});

describe("planLeaseChange", () => {
  it("gives the same bytes for the same nonce and time, and survives JSON", async () => {
    await change(create);
    const current = await read();
    const planned = planLeaseChange({ current, change: run, nonce: "n", at: "2026-01-01T00:00:00.000Z" });
    expect(planLeaseChange({ current, change: run, nonce: "n", at: "2026-01-01T00:00:00.000Z" })).toEqual(
      planned,
    );
    expect(JSON.parse(JSON.stringify(planned))).toEqual(planned);
    expect(planned).toMatchObject({ key, expectedEtag: current?.etag, nonce: "n" });
  });

  it("gives unique bytes without one", async () => {
    expect((await plan(create)).body).not.toBe((await plan(create)).body);
  });
});

describe("applyLeaseWrite", () => {
  it("writes what was planned", async () => {
    const write = await plan(create);
    expect(await apply(write)).toEqual({ kind: "applied", etag: bucket.objects.get(key)?.etag });
    expect((await read())?.lease).toEqual(write.lease);
  });

  it.each<[string, MemoryFault[]]>([
    ["was applied", [{ kind: "unclear", write: "applied" }]],
    ["was not applied", [{ kind: "unclear", write: "dropped" }]],
    ["is still under way", [{ kind: "unclear", write: "late" }]],
    ["could not be sent", [{ kind: "error", code: "storage-unreachable" }]],
    [
      "was lost again and again",
      [
        { kind: "unclear", write: "dropped" },
        { kind: "unclear", write: "late" },
        { kind: "unclear", write: "applied" },
        { kind: "unclear", write: "dropped", on: "get" },
      ],
    ],
    ["met another write that failed (409)", [{ kind: "refused" }]],
  ])("applies exactly once a write that %s", async (_, faults) => {
    await change(create);
    const write = await plan(run);
    bucket.inject(...faults);
    expect(await apply(write)).toEqual({ kind: "applied", etag: bucket.objects.get(key)?.etag });
    bucket.deliverLate();
    expect(commitsOf(write.nonce)).toBe(1);
    expect((await read())?.lease).toEqual(write.lease);
  });

  it("finds its create-only write after a refusal that came before the object was there", async () => {
    const write = await plan(create);
    bucket.inject({ kind: "refused" });
    expect(await apply(write)).toMatchObject({ kind: "applied" });
    expect(commitsOf(write.nonce)).toBe(1);
  });

  it("finds a taken write in the history, after any number of renewals", async () => {
    const write = await plan(create);
    bucket.inject({ kind: "unclear", write: "applied" });
    await expect(applyLeaseWrite({ store, write, deadlineMs: 1, clock: createTestClock() })).rejects.toEqual(
      refusedWith("storage-unclear"),
    );
    await change(run);
    for (let n = 0; n < 20; n += 1) await change(renew);
    expect(await apply(write)).toEqual({ kind: "applied", etag: null });
    expect(commitsOf(write.nonce)).toBe(1);
  });

  it("says superseded when another write came first, and is right for ever", async () => {
    await change(create);
    const write = await plan(burn);
    bucket.inject({ kind: "unclear", write: "late" });
    await expect(applyLeaseWrite({ store, write, deadlineMs: 1, clock: createTestClock() })).rejects.toEqual(
      refusedWith("storage-unclear"),
    );
    const other = await change(run);
    expect(await apply(write)).toEqual({ kind: "superseded", wasTaken: false, current: other });
    bucket.deliverLate();
    expect(commitsOf(write.nonce)).toBe(0);
  });

  it("says that a known lease is missing", async () => {
    await change(create);
    const write = await plan(run);
    await store.remove({ key, timeoutMs });
    await expect(apply(write)).rejects.toEqual(refusedWith("lease-missing"));
    expect(bucket.objects.has(key)).toBe(false);
  });

  it("does not know when the store stays silent, and says so at the deadline", async () => {
    const clock = createTestClock();
    const write = await plan(create);
    bucket.inject(...Array.from({ length: 100 }, () => ({ kind: "unclear", write: "dropped" }) as const));
    await expect(applyLeaseWrite({ store, write, deadlineMs: 5_000, clock })).rejects.toThrow(
      /^cannot write the lease .*: there was no definite answer within 5000 ms; ask again/,
    );
    expect(clock.nowMs()).toBeLessThanOrEqual(5_000);
  });

  it("also ends at the deadline when the store refuses for no reason", async () => {
    bucket.inject(...Array.from({ length: 1_000 }, () => ({ kind: "refused" }) as const));
    await expect(apply(await plan(create))).rejects.toEqual(refusedWith("storage-unclear"));
  });

  it("asks nobody again whose keys are wrong", async () => {
    bucket.inject({ kind: "error", code: "storage-credentials" });
    await expect(apply(await plan(create))).rejects.toEqual(refusedWith("storage-credentials"));
    expect(bucket.commits).toEqual([]);
  });
});

describe("changeLease", () => {
  it("goes all the way of an application and back", async () => {
    await change(create);
    await change(run);
    await change(renew);
    await change(stop);
    await change(handOver);
    const back = { kind: "burn", owner, holder: island, epoch: 2, grant: "grant-2" } as const;
    await change(back);
    const from = { holder: island, epoch: 2, run: null };
    const view = await change({ kind: "grant", owner, from, holder: harbor, grant: "grant-3", operation });
    expect(view.lease).toMatchObject({ epoch: 3, holder: harbor, state: "granted" });
    expect(await read()).toEqual(view);
  });

  it("looks again after a refusal and goes on while the change is allowed", async () => {
    await change(create);
    await change(run);
    let renewed = false;
    const rival = createRival(async () => {
      renewed ||= (await change(renew)).lease.state === "running";
    });
    const view = await changeLease({ store: rival, prefix, change: stop, deadlineMs: 5_000 });
    expect(renewed).toBe(true);
    expect(view.lease.state).toBe("stopped");
  });

  it("spares the look when it is told what was there, and looks again when that has changed since", async () => {
    await change(create);
    const known = await change(run);
    const calls: string[] = [];
    const watched: ObjectStore = {
      ...store,
      get: (request) => (calls.push("get"), store.get(request)),
      put: (request) => (calls.push("put"), store.put(request)),
    };
    const renewed = await changeLease({ store: watched, prefix, change: renew, known, deadlineMs: 5_000 });
    expect(calls).toEqual(["put"]);
    expect(await read()).toEqual(renewed);
    // It is an older one by now.
    const again = await changeLease({ store: watched, prefix, change: renew, known, deadlineMs: 5_000 });
    expect(calls).toEqual(["put", "put", "get", "put"]);
    expect(await read()).toEqual(again);
  });

  it("does not believe what it is told of a change that is in effect already, nor that a lost lease is held", async () => {
    await change(create);
    await change(run);
    const known = await change(stop);
    await change(handOver);
    for (const wanted of [stop, renew])
      await expect(
        changeLease({ store, prefix, change: wanted, known, deadlineMs: 5_000 }),
      ).rejects.toSatisfy(isAppError);
    expect((await read())?.lease.epoch).toBe(2);
  });

  it("gives up when what came first forbids the change", async () => {
    await change(create);
    const rival = createRival(async () => void (await change(burn)));
    await expect(changeLease({ store: rival, prefix, change: run, deadlineMs: 5_000 })).rejects.toEqual(
      refusedWith("grant-refused"),
    );
  });

  it("gives up at the deadline when others change the lease all the time", async () => {
    await change(create);
    await change(run);
    const clock = createTestClock();
    const rival = createRival(async () => {
      await change(renew);
      await clock.sleep(100);
    }, 100);
    await expect(
      changeLease({ store: rival, prefix, change: stop, deadlineMs: 1_000, clock }),
    ).rejects.toEqual(refusedWith("deadline-exceeded"));
    expect((await read())?.lease.state).toBe("running");
  });

  it("reads again when the answer to the read was lost", async () => {
    bucket.inject({ kind: "unclear", write: "dropped", on: "get" });
    expect((await change(create)).lease.epoch).toBe(1);
  });

  it.each<[LeaseChange[], LeaseChange]>([
    [[], create],
    [[create], run],
    [[create, run], restart],
    [[create, run], stop],
    [[create], burn],
    [[create, run, stop], handOver],
    [[create, run], fence],
    [[create, run, fence], handOver],
  ])("writes nothing when it is asked again for what is in effect", async (before, wanted) => {
    for (const each of before) await change(each);
    const first = await change(wanted);
    const commits = bucket.commits.length;
    expect(await change(wanted)).toEqual(first);
    expect(bucket.commits).toHaveLength(commits);
  });

  /** The store answers our write with silence, takes it, and somebody goes on before we can ask again. */
  const overtakenBy = (next: () => Promise<unknown>): ObjectStore => {
    let first = true;
    return {
      ...store,
      put: async (request) => {
        if (!first) return store.put(request);
        first = false;
        bucket.inject({ kind: "unclear", write: "applied" });
        await store.put(request).catch((error: unknown) => {
          if (!isAppError(error)) throw error;
        });
        await next();
        return { kind: "refused" };
      },
    };
  };

  it("gives the lease of whoever went on after its own write", async () => {
    const other = overtakenBy(() => change(run));
    const view = await changeLease({ store: other, prefix, change: create, deadlineMs: 5_000 });
    expect(view.lease.state).toBe("running");
  });

  it.each<[LeaseChange[], LeaseChange, LeaseChange]>([
    [[create], run, handOver],
    [[create, run], restart, { ...handOver, from: { ...handOver.from, run: restart.run } }],
    [[create], run, fence],
  ])("starts no run that was overtaken at once (%#)", async (before, wanted, next) => {
    for (const each of before) await change(each);
    const other = overtakenBy(() => change(next));
    await expect(changeLease({ store: other, prefix, change: wanted, deadlineMs: 5_000 })).rejects.toEqual(
      refusedWith("lease-superseded"),
    );
  });

  it("restarts nothing that was handed over by the old run's receipt in the meantime", async () => {
    for (const each of [create, run]) await change(each);
    const rival = createRival(async () => void (await change(handOver)));
    await expect(changeLease({ store: rival, prefix, change: restart, deadlineMs: 5_000 })).rejects.toEqual(
      refusedWith("stale-epoch"),
    );
    expect((await read())?.lease).toMatchObject({ state: "granted", holder: island });
  });

  it.each<[LeaseChange[], LeaseChange, string]>([
    [[create], run, "grant-refused"],
    [[create], burn, "grant-refused"],
    [[create, run], renew, "lease-mismatch"],
    [[create, run], restart, "lease-mismatch"],
    [[create, run], stop, "lease-mismatch"],
  ])("tells an agent that a fence came before its write (%#)", async (before, wanted, code) => {
    for (const each of before) await change(each);
    const known = await read();
    const from = { ...fence.from, run: known?.lease.run ?? null };
    const rival = createRival(async () => void (await change({ ...fence, from })));
    for (const given of [known, null])
      await expect(
        changeLease({ store: rival, prefix, change: wanted, known: given, deadlineMs: 5_000 }),
      ).rejects.toEqual(refusedWith(code));
    expect((await read())?.lease).toMatchObject({ state: "fenced", grant: null, ...from });
  });

  it("hands nothing over by the old run's receipt once the slot has restarted", async () => {
    for (const each of [create, run]) await change(each);
    const rival = createRival(async () => void (await change(restart)));
    await expect(changeLease({ store: rival, prefix, change: handOver, deadlineMs: 5_000 })).rejects.toEqual(
      refusedWith("lease-mismatch"),
    );
    expect((await read())?.lease).toMatchObject({ state: "running", run: restart.run });
  });

  it("says so when the lease is removed right after it was overtaken", async () => {
    const other = overtakenBy(() => change(run));
    let gets = 0;
    const get: ObjectStore["get"] = async (request) => {
      gets += 1;
      // The first read plans, the second finds the write in the history, the third looks what is there now.
      if (gets === 3) await store.remove({ key, timeoutMs });
      return store.get(request);
    };
    await expect(
      changeLease({ store: { ...other, get }, prefix, change: create, deadlineMs: 5_000 }),
    ).rejects.toEqual(refusedWith("lease-missing"));
  });

  it("lets one of sixteen restarts win", async () => {
    for (const each of [create, run]) await change(each);
    const results = await Promise.allSettled(
      Array.from({ length: 16 }, (_, n) => change({ ...restart, run: runOf(harbor, n + 2) })),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const lost = results.filter((each) => each.status === "rejected").map((each) => each.reason as unknown);
    expect(lost).toEqual(Array.from({ length: 15 }, () => refusedWith("lease-mismatch")));
    expect(bucket.commits).toHaveLength(3);
  });

  it("lets one of sixteen win", async () => {
    await change(create);
    const results = await Promise.allSettled(
      Array.from({ length: 16 }, (_, n) => change({ ...run, run: runOf(harbor, n + 1) })),
    );
    const won = results.filter(({ status }) => status === "fulfilled");
    const lost = results.filter((each) => each.status === "rejected").map((each) => each.reason as unknown);
    expect(won).toHaveLength(1);
    expect(lost).toEqual(Array.from({ length: 15 }, () => refusedWith("grant-refused")));
    expect(bucket.commits).toHaveLength(2);
  });

  /** Does something just before each of the first `times` writes. */
  function createRival(act: () => Promise<void>, times = 1): ObjectStore {
    let left = times;
    return {
      ...store,
      put: async (request) => {
        if ((left -= 1) >= 0) await act();
        return store.put(request);
      },
    };
  }
});
