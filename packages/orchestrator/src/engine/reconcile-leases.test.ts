import { setTimeout as delay } from "node:timers/promises";
import type { Operation } from "@baton/protocol";
import { leaseKey, nextLease } from "@baton/storage";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type BucketServer, startBucketServer } from "../fixtures/bucket-server.ts";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { saveFollowed } from "../records/save-followed.ts";
import { StaleTerm } from "../records/stale-term.ts";
import { type LeaseGate, reconcileLeases } from "./reconcile-leases.ts";

const installation = "here";
const log = pino({ level: "silent" });
let bed: RecordsBed;
let bucket: BucketServer;
let closing: AbortController;

beforeAll(async () => {
  bed = await openRecordsBed();
  bucket = await startBucketServer();
});
afterAll(async () => {
  await bucket.close();
  await bed.end();
});
beforeEach(() => {
  closing = new AbortController();
});
afterEach(() => {
  closing.abort();
  bucket.isDown = false;
});

/** Serves in epoch 1, with the lease that belongs to it. */
async function deployed(): Promise<Operation> {
  const operation = await bed.deployed(bucket.location);
  await putLease(operation, {});
  return operation;
}

async function putLease({ id, application, target }: Operation, changes: object): Promise<void> {
  const prefix = `store-of-${application}/`;
  const lease = nextLease(
    null,
    {
      kind: "create",
      owner: `${installation}/${application}`,
      application,
      prefix,
      holder: target ?? "",
      grant: "g",
      operation: id,
    },
    { nonce: "n", at: "2026-01-01T00:00:00Z" },
  );
  bucket.objects.set(`/harbor/${leaseKey(prefix)}`, JSON.stringify({ ...lease, ...changes }));
}

const removeLease = ({ application }: Operation) =>
  bucket.objects.delete(`/harbor/${leaseKey(`store-of-${application}/`)}`);

const reconcile = (giveUpAfter = 60_000): Promise<LeaseGate> =>
  reconcileLeases({
    placements: bed.placements,
    installation,
    log,
    signal: closing.signal,
    timings: { readTimeout: 1_000, retry: 5, giveUpAfter },
  });

const haltedReason = async ({ application }: Operation) =>
  (
    await bed.database
      .selectFrom("applications")
      .select("halted_reason")
      .where("name", "=", application)
      .executeTakeFirstOrThrow()
  ).halted_reason;

describe("a lease that agrees with the records", () => {
  it("also if another replica hands it over just now", async () => {
    const operation = await deployed();
    const { placements } = bed;
    vi.spyOn(placements, "leased").mockImplementationOnce(async () => {
      const before = await placements.leased();
      await placements.raiseEpoch(operation.application, 2);
      await putLease(operation, { epoch: 2 });
      return before;
    });
    expect(await (await reconcile())(operation.application)).toBeNull();
    expect(await haltedReason(operation)).toBeNull();
  });

  it("lets the operations of its application go on", async () => {
    const operation = await deployed();
    expect(await (await reconcile())(operation.application)).toBeNull();
    expect(await haltedReason(operation)).toBeNull();
  });

  it("may be one epoch behind the highest that was planned, and may be missing before it was first written", async () => {
    const operation = await deployed();
    await bed.placements.raiseEpoch(operation.application, 2);
    const fresh = await bed.insert({
      kind: "deploy",
      application: await bed.declare(bucket.location),
      to: "harbor-a",
    });
    await bed.placements.raiseEpoch(fresh.application, 1);
    const gate = await reconcile();
    expect(await gate(operation.application)).toBeNull();
    expect(await gate(fresh.application)).toBeNull();
    expect(await gate("never-leased")).toBeNull();
  });

  it("ends the halt that an earlier contradiction made", async () => {
    const operation = await deployed();
    await putLease(operation, { epoch: 9 });
    await (
      await reconcile()
    )(operation.application);
    expect(await haltedReason(operation)).toContain("epoch 9");
    await putLease(operation, {});
    expect(await (await reconcile())(operation.application)).toBeNull();
    await vi.waitFor(async () => expect(await haltedReason(operation)).toBeNull());
  });
});

describe("a lease that contradicts the records halts its application", () => {
  it("until the records have followed it, in every process that asks", async () => {
    const operation = await deployed();
    // Begun before the backup was taken.
    const { id, target } = await bed.insert({
      kind: "migrate",
      application: operation.application,
      to: "harbor-b",
    });
    await putLease(operation, { epoch: 2 });
    const gates = [await reconcile(), await reconcile()];
    for (const gate of gates) expect(await gate(operation.application)).toContain("has epoch 2");
    const { application } = operation;
    const own = bed.operations.inTerm(0);
    const followed = { end: "rolled-back", placement: operation.target ?? "", epoch: 2 } as const;
    await saveFollowed(own, { operation: id, application }, followed);
    for (const gate of gates) expect(await gate(application)).toBeNull();
    expect(await haltedReason(operation)).toBeNull();
    expect(await bed.placements.route(application)).toMatchObject({ placement: operation.target, epoch: 2 });
    expect(await bed.operations.find(id)).toMatchObject({ state: "rolled-back", target, epochAfter: 2 });
    await expect(
      saveFollowed(bed.operations.inTerm(7), { operation: id, application }, followed),
    ).rejects.toBeInstanceOf(StaleTerm);
  });

  const cases: [string, (operation: Operation) => unknown, string][] = [
    ["newer", (operation) => putLease(operation, { epoch: 2 }), "has epoch 2, the records know only 1"],
    ["missing", removeLease, "is missing"],
    ["somebody else's", (operation) => putLease(operation, { owner: "there/x" }), "belongs to there/x"],
    [
      "older",
      async (operation) => {
        await bed.placements.raiseEpoch(operation.application, 3);
        await bed.placements.restoreEpoch(operation.application, 3);
      },
      "has epoch 1, though 3 was written",
    ],
  ];
  it.each(cases)("when it is %s", async (_name, change, why) => {
    const operation = await deployed();
    await change(operation);
    const other = await deployed();
    const gate = await reconcile();
    expect(await gate(operation.application)).toContain(why);
    expect(await haltedReason(operation)).toContain(why);
    expect(await gate(other.application)).toBeNull();
    await expect(
      bed.insert({ kind: "migrate", application: operation.application, to: "harbor-b" }),
    ).rejects.toMatchObject({ code: "operation-halted" });
  });
});

describe("a store that does not answer", () => {
  it("is waited for", async () => {
    const operation = await deployed();
    bucket.isDown = true;
    const passed = (await reconcile())(operation.application);
    const isOpen = await Promise.race([passed.then(() => true), delay(50).then(() => false)]);
    expect(isOpen).toBe(false);
    bucket.isDown = false;
    expect(await passed).toBeNull();
  });

  it("halts what was open when the time is over, until it answers", async () => {
    const operation = await deployed();
    bucket.isDown = true;
    const gate = await reconcile(30);
    expect(await gate(operation.application)).toContain("could not be compared");
    expect(await haltedReason(operation)).toContain("could not be compared");
    bucket.isDown = false;
    await vi.waitFor(async () => expect(await haltedReason(operation)).toBeNull());
    expect(await gate(operation.application)).toBeNull();
  });

  it("halts nothing when the process ends before that", async () => {
    const operation = await deployed();
    bucket.isDown = true;
    const passed = (await reconcile(30))(operation.application);
    closing.abort();
    const isOpen = await Promise.race([passed.then(() => true), delay(80).then(() => false)]);
    expect(isOpen).toBe(false);
    expect(await haltedReason(operation)).toBeNull();
  });
});
