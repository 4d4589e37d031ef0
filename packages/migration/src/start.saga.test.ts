import { describe, expect, it } from "vitest";
import { type FakeWorld, createFakeWorld, input, sourceId } from "./fakes/fake-world.ts";
import { at, expectPromises, failing, runInWorld, testSaga } from "./fakes/saga.testsuite.ts";
import { type Faults, noFaults } from "./progress.port.ts";
import { start } from "./start.saga.ts";

async function restingWorld(): Promise<FakeWorld> {
  const world = createFakeWorld();
  world.aim = "start";
  world.ports.target = world.source;
  await world.restOnSource();
  return world;
}

async function startIn(world: FakeWorld, faults: Faults = noFaults, given = input) {
  const { end } = await runInWorld({
    saga: start,
    world,
    openPorts: () => world.ports,
    faults,
    input: given,
  });
  expectPromises(world, end);
  return end;
}

testSaga({ saga: start, open: restingWorld, portsOf: (world) => world.ports });
testSaga({
  saga: { name: "start@1 over a fence", steps: start.steps },
  open: async () => {
    const world = await restingWorld();
    world.ports.fence = world.fence;
    return world;
  },
  portsOf: (world) => world.ports,
});

describe("start", () => {
  it("starts it again where it was, in the next epoch, and lets clients in", async () => {
    const world = await restingWorld();
    expect(await startIn(world)).toEqual({ state: "committed" });
    expect(world.source.effects).toMatchObject({ placed: 1, execs: 2 });
    expect(world.lease()).toMatchObject({ state: "running", holder: sourceId, epoch: 2 });
    expect(world.records).toMatchObject({ placement: sourceId, stopped: false, epoch: 2 });
  });

  it("brings up again what ended by itself", async () => {
    const world = createFakeWorld();
    world.aim = "start";
    world.ports.target = world.source;
    await world.serveOnSource();
    await world.source.die();
    world.wasServing = false;
    expect(await startIn(world)).toEqual({ state: "committed" });
    expect(world.source).toMatchObject({ state: "running", clientsLetIn: true });
  });

  it("waits out what the last run sent", async () => {
    const world = await restingWorld();
    const waits: number[] = [];
    Object.assign(world.ports.clock, { wait: async (ms: number) => void waits.push(ms) });
    await startIn(world, noFaults, { ...input, settleMs: 70, knownEpoch: 1 });
    expect(waits).toEqual([70]);
  });

  it("takes every older key away, and on the way back the new one", async () => {
    const world = await restingWorld();
    world.ports.fence = world.fence;
    const fails = failing({ step: "verify", phase: "do", moment: "after" });
    expect(await startIn(world, fails)).toMatchObject({ state: "rolled-back" });
    expect([...world.fence.disabled]).toEqual([`${sourceId} in epoch 1`, `${sourceId} in epoch 2`]);
  });

  it.each(["running", "unknown"] as const)("does nothing while the witness says %s", async (witnessed) => {
    const world = await restingWorld();
    world.source.witnessed = witnessed;
    expect(await startIn(world)).toMatchObject({
      state: "rolled-back",
      reason: { code: "preflight-failed" },
    });
    expect(world.source.effects.execs).toBe(1);
  });

  it("does nothing where it runs", async () => {
    const world = createFakeWorld();
    world.aim = "start";
    world.ports.target = world.source;
    await world.serveOnSource();
    const { end } = await runInWorld({ saga: start, world, openPorts: () => world.ports });
    expect(end).toMatchObject({
      state: "rolled-back",
      reason: { detail: expect.stringContaining("the application on harbor-a is running") as string },
    });
    expect(world.source.effects.execs).toBe(1);
  });
});

describe("a start that is taken back", () => {
  it("is stopped again with proof", async () => {
    const world = await restingWorld();
    world.source.verifyFails = true;
    const given = { ...input, verify: { method: "POST", path: "/canary", timeoutMs: 1_000 } } as const;
    expect(await startIn(world, noFaults, given)).toMatchObject({ state: "rolled-back" });
    expect(world.source.effects).toMatchObject({ execs: 2, stops: 2 });
    expect(world.lease()).toMatchObject({ state: "stopped", epoch: 2 });
  });

  it("burns a grant that was not used, and may be tried again", async () => {
    const world = await restingWorld();
    const fails = failing({ step: "handOver", phase: "do", moment: "after" });
    expect(await startIn(world, fails)).toMatchObject({ state: "rolled-back" });
    expect(world.source.effects).toMatchObject({ execs: 1, burns: 1 });
    expect(world.lease()).toMatchObject({ state: "stopped", epoch: 2, run: null });
    world.journal.entries.clear();
    world.records.state = "open";
    world.ends.length = 0;
    expect(await startIn(world)).toEqual({ state: "committed" });
    expect(world.lease()).toMatchObject({ state: "running", epoch: 3 });
  });

  it("stops nothing where the grant never came to be", async () => {
    const world = await restingWorld();
    const changed = at({ step: "handOver", phase: "do", moment: "before" }, () => world.rewriteLease({}));
    expect(await startIn(world, changed)).toMatchObject({
      state: "rolled-back",
      reason: { code: "lease-superseded" },
    });
    expect(world.lease()).toMatchObject({ state: "stopped", epoch: 1 });
    expect(world.source.effects).toMatchObject({ execs: 1, stops: 1, burns: 0 });
  });

  it.each([{ state: "fenced" }, { holder: "pl-00000000000000000009" }] as const)(
    "grants nothing from a lease that is not its own and stopped: %o",
    async (fields) => {
      const world = await restingWorld();
      const taken = at({ step: "preflight", moment: "after" }, () => world.rewriteLease(fields));
      const { end } = await runInWorld({ saga: start, world, openPorts: () => world.ports, faults: taken });
      expect(end).toMatchObject({ state: "rolled-back", reason: { code: "lease-mismatch" } });
      expect(world.lease()).toMatchObject({ ...fields, epoch: 1 });
    },
  );
});
