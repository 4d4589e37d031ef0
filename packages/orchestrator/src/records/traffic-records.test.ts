import { type TrafficPluginManifest, createKeyPair, trafficTarget } from "@baton/protocol";
import { decideTraffic } from "@baton/traffic";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { TrafficRecords } from "./traffic-records.ts";

const plugin: TrafficPluginManifest = { plugin: "command", command: ["/bin/true"], timeoutMs: 1_000 };
const target = trafficTarget(plugin);
const claimMs = 60_000;

let bed: RecordsBed;
let records: TrafficRecords;
beforeAll(async () => {
  bed = await openRecordsBed();
  records = new TrafficRecords(bed.database);
});
afterAll(() => bed.end());

const name = async (application: string, traffic: TrafficPluginManifest[] | undefined): Promise<void> => {
  const manifest = await bed.catalog.application(application);
  await bed.catalog.putApplication({ ...manifest, traffic });
};
/** Serves on `harbor-a` in epoch 1; one plug-in is named. */
async function serving() {
  const { application, target: placement } = await bed.deployed();
  const { publicKey } = await createKeyPair();
  await bed.placements.pinKey(placement, publicKey, "http://127.0.0.1:1");
  await name(application, [plugin]);
  return { application, placement };
}
const look = async (application: string) => {
  const state = (await records.look()).find((each) => each.application === application);
  if (state === undefined) throw new Error("it is to be told of");
  return state;
};
/** As the reconciler does it. */
const settle = async (application: string): Promise<void> => {
  for (const change of decideTraffic(await look(application))) await records.change(application, change);
};
const claim = (application: string) => records.claim({ application, target }, claimMs);
const claimed = async (application: string) => {
  const telling = await claim(application);
  if (telling === null) throw new Error("it is to be told");
  return telling;
};

describe("what is wanted", () => {
  it("is what is committed and serves, and nothing that an operation only plans", async () => {
    const { application, placement } = await serving();
    const route = { placement, cluster: "harbor-a", url: "http://127.0.0.1:1" };
    expect(await look(application)).toMatchObject({ epoch: 1, route, plugins: [plugin] });
    const move = await bed.begin({ kind: "migrate", application, to: "harbor-b" });
    await bed.placements.pinKey(move.target, (await createKeyPair()).publicKey, "http://127.0.0.1:2");
    await bed.placements.raiseEpoch(application, 2);
    expect(await look(application)).toMatchObject({ epoch: 1, route });
    await bed.operations.commit(move.id, 2);
    expect(await look(application)).toMatchObject({
      epoch: 2,
      route: { placement: move.target, cluster: "harbor-b", url: "http://127.0.0.1:2" },
    });
  });

  it("is nothing where it is stopped, deleted or never was, or is known of nobody who is to be told", async () => {
    const { application } = await serving();
    const stop = await bed.insert({ kind: "stop", application });
    await bed.operations.commitStop(stop.id);
    expect((await look(application)).route).toBeNull();
    const other = await serving();
    const deletion = await bed.insert({ kind: "delete", application: other.application });
    await bed.operations.commitDelete(deletion.id);
    expect((await look(other.application)).route).toBeNull();
    const fresh = await bed.declare();
    expect((await records.look()).map((state) => state.application)).not.toContain(fresh);
  });
});

describe("a receiver", () => {
  it("is told once, and again when something changed; who was told is forgotten when he is no longer named", async () => {
    const { application, placement } = await serving();
    const route = { placement, cluster: "harbor-a", url: "http://127.0.0.1:1" };
    await settle(application);
    const first = await claimed(application);
    expect(first).toMatchObject({ epoch: 1, route, previous: null, isLast: false, tries: 1, plugin });
    await records.confirm(first);
    await settle(application);
    expect(await claim(application)).toBeNull();
    expect(await records.view(application)).toMatchObject([
      { target, removed: false, settled: true, told: { epoch: 1, cluster: "harbor-a" }, error: null },
    ]);

    await name(application, undefined);
    await settle(application);
    const last = await claimed(application);
    expect(last).toMatchObject({ route: null, previous: route, isLast: true });
    expect(last.revision).toBeGreaterThan(first.revision);
    expect(await records.view(application)).toMatchObject([{ removed: true, settled: false }]);
    await records.confirm(last);
    await settle(application);
    expect(await records.view(application)).toEqual([]);
  });

  it("is told by one at a time, until the claim is over", async () => {
    const { application } = await serving();
    await settle(application);
    const all = await Promise.all([1, 2, 3, 4].map(() => claim(application)));
    expect(all.filter((each) => each !== null)).toHaveLength(1);
    expect((await records.due(1_000)).map((due) => due.application)).not.toContain(application);
    await sql`update traffic_receivers set claimed_until = now() - interval '1 ms' where application = ${application}`.execute(
      bed.database,
    );
    expect(await claim(application)).toMatchObject({ tries: 2 });
  });

  it("that was not told is told after a pause, and at once when it is something else by then", async () => {
    const { application } = await serving();
    await settle(application);
    await records.fail(await claimed(application), "cannot tell it", 60_000);
    expect(await claim(application)).toBeNull();
    expect(await records.view(application)).toMatchObject([
      { settled: false, tries: 1, error: { detail: "cannot tell it" } },
    ]);
    await bed.placements.restoreEpoch(application, 2);
    await settle(application);
    expect(await claimed(application)).toMatchObject({ epoch: 2, tries: 1 });
  });

  it("is not waited for by a clock that was set back", async () => {
    const { application } = await serving();
    await settle(application);
    await sql`update traffic_receivers set claimed_until = now() + interval '1 day', next_try_at = now() + interval '1 day'
      where application = ${application}`.execute(bed.database);
    expect(await claim(application)).not.toBeNull();
  });

  it("that nobody finished telling is anybody's at once when it was called off", async () => {
    const { application } = await serving();
    await settle(application);
    await records.giveUp(await claimed(application));
    expect(await claim(application)).toMatchObject({ tries: 1 });
  });
});

describe("two replicas", () => {
  it("that saw the same write it down once, and what was seen before is refused", async () => {
    const { application } = await serving();
    const early = decideTraffic(await look(application));
    await settle(application);
    const { revision } = await claimed(application);
    for (const change of early) await records.change(application, change);
    expect((await look(application)).receivers).toMatchObject([{ revision }]);

    // It looked when epoch 2 served, and writes when epoch 3 is on record.
    await bed.placements.restoreEpoch(application, 2);
    const late = decideTraffic(await look(application));
    await bed.placements.restoreEpoch(application, 3);
    await settle(application);
    for (const change of late) await records.change(application, change);
    expect((await look(application)).receivers).toMatchObject([{ epoch: 3 }]);
  });

  it("never confirm something older over something newer", async () => {
    const { application } = await serving();
    await settle(application);
    const slow = await claimed(application);
    await bed.placements.restoreEpoch(application, 2);
    await settle(application);
    await sql`update traffic_receivers set claimed_until = null where application = ${application}`.execute(
      bed.database,
    );
    const fast = await claimed(application);
    await records.confirm(fast);
    await records.confirm(slow);
    await records.fail(slow, "too late", 60_000);
    expect(await records.view(application)).toMatchObject([
      { settled: true, told: { epoch: 2 }, error: null },
    ]);
  });
});

it("of an application that is not there nothing is shown", () =>
  expect(records.view("nobody")).rejects.toMatchObject({ code: "unknown-application" }));
