import { describe, expect, it } from "vitest";
import { deleteServing, deleteStopped } from "./delete.saga.ts";
import { deploy } from "./deploy.saga.ts";
import { type FakeWorld, createFakeWorld, sourceId, targetId } from "./fakes/fake-world.ts";
import { at, expectPromises, failing, runInWorld, testSaga } from "./fakes/saga.testsuite.ts";
import { type Faults, noFaults } from "./progress.port.ts";

async function servingWorld(): Promise<FakeWorld> {
  const world = createFakeWorld();
  world.aim = "delete";
  await world.serveOnSource();
  return world;
}

async function fencedWorld(): Promise<FakeWorld> {
  const world = await servingWorld();
  world.ports.fence = world.fence;
  world.source.stopManner = "crashed-during-stop";
  return world;
}

async function restingWorld(): Promise<FakeWorld> {
  const world = createFakeWorld();
  world.aim = "delete";
  await world.restOnSource();
  return world;
}

const deletes = [
  ["that serves", deleteServing, servingWorld],
  ["that is stopped", deleteStopped, restingWorld],
] as const;

const runIn = async (
  world: FakeWorld,
  saga: typeof deleteServing | typeof deleteStopped,
  faults: Faults = noFaults,
) => {
  const { end } = await runInWorld({ saga, world, openPorts: () => world.ports, faults });
  return end;
};

for (const [, saga, open] of deletes) testSaga({ saga, open, portsOf: (world) => world.ports });
testSaga({
  saga: { name: "delete@1 over a fence", steps: deleteServing.steps },
  open: fencedWorld,
  portsOf: (world) => world.ports,
});

describe.each(deletes)("delete of an application %s", (_, saga, open) => {
  it("removes its placement and nothing of its storage; the lease stays, stopped", async () => {
    const world = await open();
    await world.bucket.open().put({ key: "ledger/segments/1", body: "entries", timeoutMs: 1_000 });
    const before = [...world.bucket.objects.keys()];
    const end = await runIn(world, saga);
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
    expect(world.source.effects).toMatchObject({ removed: 1, stops: 1 });
    expect(world.records.retired).toEqual([sourceId]);
    expect([...world.bucket.objects.keys()]).toEqual(before);
    expect(world.lease()).toMatchObject({ state: "stopped", holder: sourceId, epoch: 1 });
  });

  it("leaves a lease from which a deploy goes on with the next epoch", async () => {
    const world = await open();
    await runIn(world, saga);
    Object.assign(world, { aim: "move", wasServing: false, wasStopped: false });
    world.journal.entries.clear();
    world.records.state = "open";
    world.ends.length = 0;
    const { end } = await runInWorld({ saga: deploy, world, openPorts: () => world.ports });
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
    expect(world.lease()).toMatchObject({ state: "running", holder: targetId, epoch: 2 });
  });

  it.each([
    { state: "running" },
    { state: "fenced" },
    { state: "stopped", holder: "pl-00000000000000000009" },
  ] as const)("halts, and removes nothing, when the lease is not its own and stopped: %o", async (fields) => {
    const world = await open();
    const taken = at({ step: "retire", moment: "before" }, () => world.rewriteLease(fields));
    expect(await runIn(world, saga, taken)).toMatchObject({
      state: "halted",
      reason: { code: "lease-mismatch" },
    });
    expect(world.source.effects.removed).toBe(0);
  });

  it("halts, and removes nothing, when the lease is gone", async () => {
    const world = await open();
    const gone = at({ step: "retire", moment: "before" }, () => world.removeLease());
    expect(await runIn(world, saga, gone)).toMatchObject({
      state: "halted",
      reason: { code: "lease-mismatch" },
    });
    expect(world.source.effects.removed).toBe(0);
  });

  it("halts, and removes nothing, while a process of it lives", async () => {
    const world = await open();
    const revived = at({ step: "retire", moment: "before" }, () => (world.source.state = "running"));
    expect(await runIn(world, saga, revived)).toMatchObject({
      state: "halted",
      reason: { code: "wrong-state" },
    });
    expect(world.source.effects.removed).toBe(0);
  });
});

describe("delete", () => {
  it("of what does not stop gracefully is fenced, and marks the possible loss", async () => {
    const world = await fencedWorld();
    const end = await runIn(world, deleteServing);
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
    expect(world.fence.proven).toEqual([`${sourceId} in epoch 1`]);
    expect(world.records.possibleLoss).toBe(true);
  });

  it("is taken back before its commit: the application serves again in place", async () => {
    const world = await servingWorld();
    const end = await runIn(world, deleteServing, failing({ step: "release", phase: "do", moment: "after" }));
    expect(end.state).toBe("rolled-back");
    expectPromises(world, end);
    expect(world.source).toMatchObject({ state: "running", clientsLetIn: true });
  });

  it("of what is stopped asks the witness, and leaves what it may see running", async () => {
    const world = await restingWorld();
    world.source.witnessed = "running";
    const end = await runIn(world, deleteStopped);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "preflight-failed" } });
    expectPromises(world, end);
  });

  it("is refused by preflight where the application does not serve as it should", async () => {
    const world = await servingWorld();
    await world.source.die();
    world.wasServing = false;
    expect(await runIn(world, deleteServing)).toMatchObject({
      state: "rolled-back",
      reason: { detail: expect.stringContaining("cannot delete ledger") as string },
    });
  });
});
