import { createKeyPair, newPlacementId } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";

let bed: RecordsBed;
beforeAll(async () => {
  bed = await openRecordsBed();
});
afterAll(() => bed.end());

const epochs = async (application: string) =>
  (await bed.placements.leased()).find((leased) => leased.application === application);

describe("a placement's key", () => {
  it("is recorded once and for good; another one is refused and changes nothing", async () => {
    const { application, target } = await bed.deployed();
    const [own, other] = [await createKeyPair(), await createKeyPair()];
    await bed.placements.pinKey(target, own.publicKey, "http://127.0.0.1:1");
    await bed.placements.pinKey(target, own.publicKey, "http://127.0.0.1:2");
    await expect(bed.placements.pinKey(target, other.publicKey, "http://127.0.0.1:3")).rejects.toMatchObject({
      code: "agent-identity",
    });
    expect((await bed.placements.find(target)).publicKey).toEqual(own.publicKey);
    expect((await bed.placements.route(application)).url).toBe("http://127.0.0.1:2");
  });

  it("is one, whoever of two strangers comes first", async () => {
    const { target } = await bed.deployed();
    const keys = await Promise.all([1, 2, 3, 4].map(() => createKeyPair()));
    const results = await Promise.allSettled(
      keys.map(({ publicKey }) => bed.placements.pinKey(target, publicKey, "http://127.0.0.1:1")),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });
});

describe("epochs", () => {
  it("only grow", async () => {
    const { application } = await bed.deployed();
    for (const epoch of [5, 3, 4]) await bed.placements.raiseEpoch(application, epoch);
    for (const epoch of [3, 2]) await bed.placements.restoreEpoch(application, epoch);
    expect(await epochs(application)).toMatchObject({ epoch: 3, highestEpoch: 5 });
  });

  it("are those of applications that may have a lease, each with the storage of its last deployment", async () => {
    const fresh = await bed.declare();
    expect(await epochs(fresh)).toBeUndefined();
    const first = await bed.begin({ kind: "deploy", application: fresh, to: "harbor-a" });
    expect(await epochs(fresh)).toBeUndefined();
    await bed.placements.raiseEpoch(fresh, 1);
    await bed.operations.end(first.id, { state: "rolled-back", reason: { code: "internal", detail: "" } });
    await bed.placements.retire(first.target);
    const { storage } = await bed.catalog.application(fresh);
    await bed.catalog.putStorage({ ...(await bed.catalog.storage(storage)), settleMs: 77 });
    await bed.insert({ kind: "deploy", application: fresh, to: "harbor-b" });
    expect(await epochs(fresh)).toMatchObject({ epoch: 0, highestEpoch: 1, storage: { settleMs: 77 } });
  });
});

describe("the placements that serve from a storage", () => {
  it("are its applications' own, each with its epoch, and with the operation that is not over", async () => {
    const { application, target } = await bed.deployed();
    await bed.deployed();
    const declared = await bed.declare();
    const { storage } = await bed.placements.find(target);
    const at = { application, placement: target, cluster: "harbor-a", epoch: 1, storage };
    expect(await bed.placements.servingFrom(storage.name)).toEqual([{ ...at, operation: null }]);
    expect(await bed.placements.servingFrom(`store-of-${declared}`)).toEqual([]);
    const move = await bed.insert({ kind: "migrate", application, to: "harbor-b" });
    expect(await bed.placements.servingFrom(storage.name)).toEqual([{ ...at, operation: move.id }]);
    await bed.operations.end(move.id, { state: "rolled-back", reason: { code: "internal", detail: "" } });
    expect(await bed.placements.servingFrom(storage.name)).toEqual([{ ...at, operation: null }]);
    const stop = await bed.insert({ kind: "stop", application });
    await bed.operations.commitStop(stop.id);
    expect(await bed.placements.servingFrom(storage.name)).toEqual([]);
  });
});

describe("a route", () => {
  it("leads nowhere before the first commit, then to the placement that serves", async () => {
    const application = await bed.declare();
    const nowhere = { application, url: null, placement: null, cluster: null, epoch: 0 };
    expect(await bed.placements.route(application)).toEqual(nowhere);
    const { id, target } = await bed.begin({ kind: "deploy", application, to: "harbor-b" });
    await bed.placements.pinKey(target, (await createKeyPair()).publicKey, "http://127.0.0.1:7");
    expect(await bed.placements.route(application)).toEqual(nowhere);
    await bed.operations.commit(id, 1);
    expect(await bed.placements.route(application)).toEqual({
      application,
      url: "http://127.0.0.1:7",
      placement: target,
      cluster: "harbor-b",
      epoch: 1,
    });
  });

  it("is not there for what is not there", async () => {
    await expect(bed.placements.route("nobody")).rejects.toMatchObject({ code: "unknown-application" });
    await expect(bed.placements.find(newPlacementId())).rejects.toMatchObject({ code: "unknown-placement" });
  });
});
