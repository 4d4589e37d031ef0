import { AppError } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { type FakeWorld, createFakeWorld, sourceId } from "./fakes/fake-world.ts";
import { expectPromises, failing, runInWorld, testSaga } from "./fakes/saga.testsuite.ts";
import { migrate } from "./migrate.saga.ts";
import { type Faults, noFaults } from "./progress.port.ts";

const stale = new AppError("storage-stale", "1 object differs");

/** The target's endpoint shows the source's writes late, and the other way round. */
async function replicaWorld(): Promise<FakeWorld> {
  const world = createFakeWorld();
  await world.serveOnSource();
  world.ports.replica = world.replica.port;
  return world;
}

const migrateIn = (world: FakeWorld, faults: Faults = noFaults) =>
  runInWorld({ saga: migrate, world, openPorts: () => world.ports, faults });

testSaga({
  saga: { name: "migrate@1 between replicas", steps: migrate.steps },
  open: replicaWorld,
  portsOf: (world) => world.ports,
});

describe("a migration between endpoints of which one shows writes late", () => {
  it("waits after the fence until the target's shows what the source wrote, and puts that on record", async () => {
    const world = await replicaWorld();
    const { end } = await migrateIn(world);
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
    expect(world.replica.waits).toEqual(["source"]);
    expect(world.records.replicas).toMatchObject([{ written: "source", looks: 1 }]);
  });

  it("goes back, the target never granted, where it does not catch up in time", async () => {
    const world = await replicaWorld();
    world.replica.port.waitUntilEqual = () => Promise.reject(stale);
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({
      state: "rolled-back",
      reason: { code: "storage-stale", detail: "fence failed: 1 object differs" },
    });
    expectPromises(world, end);
    expect(world.target.effects).toMatchObject({ execs: 0, burns: 0 });
    expect(world.records.replicas).toEqual([]);
    expect(world.lease()).toMatchObject({ holder: sourceId, epoch: 2 });
  });

  it.each([
    ["verify", ["source", "target"]],
    ["start", ["source"]],
  ])("waits on the way back from %s as well only when the target had run", async (step, waits) => {
    const world = await replicaWorld();
    const { end } = await migrateIn(world, failing({ step, phase: "do", moment: "before" }));
    expect(end.state).toBe("rolled-back");
    expectPromises(world, end);
    expect(world.replica.waits).toEqual(waits);
  });

  it("halts when what the target wrote does not come back, and starts nobody", async () => {
    const world = await replicaWorld();
    const wait = world.replica.port.waitUntilEqual.bind(world.replica.port);
    world.replica.port.waitUntilEqual = (writer, signal) =>
      writer === "target" ? Promise.reject(stale) : wait(writer, signal);
    const { end } = await migrateIn(world, failing({ step: "verify", phase: "do", moment: "after" }));
    expect(end).toMatchObject({ state: "halted", reason: { code: "storage-stale" } });
    expect([...world.running]).toEqual([]);
  });
});
