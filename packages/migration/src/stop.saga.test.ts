import { usualStopPolicy } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { type FakeWorld, createFakeWorld, input, sourceId } from "./fakes/fake-world.ts";
import { at, both, expectPromises, failing, runInWorld, testSaga } from "./fakes/saga.testsuite.ts";
import { decisionTopic } from "./halt.ts";
import { type Faults, noFaults } from "./progress.port.ts";
import { stop } from "./stop.saga.ts";

async function servingWorld(): Promise<FakeWorld> {
  const world = createFakeWorld();
  world.aim = "stop";
  await world.serveOnSource();
  return world;
}

/** The storage gives each placement its own key, and the source does not stop gracefully. */
async function fencedWorld(): Promise<FakeWorld> {
  const world = await servingWorld();
  world.ports.fence = world.fence;
  world.source.stopManner = "crashed-during-stop";
  return world;
}

async function stopIn(world: FakeWorld, faults: Faults = noFaults) {
  const { end } = await runInWorld({ saga: stop, world, openPorts: () => world.ports, faults });
  expectPromises(world, end);
  return end;
}

testSaga({ saga: stop, open: servingWorld, portsOf: (world) => world.ports });
testSaga({
  saga: { name: "stop@1 over a fence", steps: stop.steps },
  open: fencedWorld,
  portsOf: (world) => world.ports,
});

describe("stop", () => {
  const key = `${sourceId} in epoch 1`;

  it("leaves the placement held, the lease stopped, and the records saying so", async () => {
    const world = await servingWorld();
    expect(await stopIn(world)).toEqual({ state: "committed" });
    expect(world.source.effects).toEqual({ placed: 1, removed: 0, execs: 1, stops: 1, burns: 0 });
    expect(world.lease()).toMatchObject({ state: "stopped", holder: sourceId, epoch: 1 });
    expect(world.records).toMatchObject({ placement: sourceId, stopped: true, possibleLoss: false });
  });

  it("takes the key of the epoch away where there is a fence, without proof after a graceful stop", async () => {
    const world = await fencedWorld();
    world.source.stopManner = "graceful";
    expect(await stopIn(world)).toEqual({ state: "committed" });
    expect([...world.fence.disabled]).toEqual([key]);
    expect(world.fence.proven).toEqual([]);
  });

  it("fences what did not stop gracefully, and marks the possible loss", async () => {
    const world = await fencedWorld();
    expect(await stopIn(world)).toEqual({ state: "committed" });
    expect(world.fence.proven).toEqual([key]);
    expect(world.records).toMatchObject({ possibleLoss: true, fences: [{ key: { identity: key } }] });
  });

  it("without a fence is not passed by what did not stop gracefully: it serves again in place", async () => {
    const world = await servingWorld();
    world.source.stopManner = "crashed-during-stop";
    expect(await stopIn(world)).toMatchObject({ state: "rolled-back", reason: { code: "handover-refused" } });
    expect(world.lease()).toMatchObject({ state: "running", epoch: 2 });
  });

  it("touches nothing when preflight finds something", async () => {
    const world = await servingWorld();
    world.disguise = (facts) => ({
      ...facts,
      storage: { ...facts.storage, probe: { known: false, why: "no answer" } },
    });
    expect(await stopIn(world)).toMatchObject({
      state: "rolled-back",
      reason: {
        code: "preflight-failed",
        detail: expect.stringContaining("cannot stop ledger: the storage cannot be probed") as string,
      },
    });
    expect(world.source.effects.stops).toBe(0);
  });
});

describe("the lease of what is stopped", () => {
  const running = (world: FakeWorld) => world.rewriteLease({ state: "running", nonce: "late" });

  it("is written by the operation where the agent could not", async () => {
    const world = await servingWorld();
    const outage = at({ step: "stop", phase: "do", moment: "before" }, () => world.failWrites(5));
    expect(await stopIn(world, outage)).toEqual({ state: "committed" });
    expect(world.lease()).toMatchObject({ state: "stopped", epoch: 1 });
    const stops = world.bucket.commits.filter(({ body }) => body.includes('"stopped"'));
    expect(stops).toHaveLength(1);
  });

  it("may be written by the agent while the operation is about to", async () => {
    const world = await servingWorld();
    const late = {
      reach: async ({ step, moment }) => {
        if (step === "fence" && moment === "after") await running(world);
        if (step === "release" && moment === "before")
          await world.rewriteLease({ state: "stopped", nonce: "the agent's" });
      },
    } satisfies Faults;
    expect(await stopIn(world, late)).toEqual({ state: "committed" });
    expect(world.lease()).toMatchObject({ state: "stopped", nonce: "the agent's" });
  });

  it("that somebody else changed meanwhile takes the stop back", async () => {
    const world = await servingWorld();
    const changed = {
      reach: async ({ step, phase, moment }) => {
        if (step === "fence" && moment === "after") await running(world);
        if (step === "release" && phase === "do" && moment === "before")
          await world.rewriteLease({ nonce: "renewed" });
      },
    } satisfies Faults;
    expect(await stopIn(world, changed)).toMatchObject({
      state: "rolled-back",
      reason: { code: "lease-superseded" },
    });
  });

  it.each([
    { run: { placement: sourceId, instance: "1", counter: 7 } },
    { state: "granted", grant: "another", run: null },
  ] as const)("that is about another run is not released: %o", async (fields) => {
    const world = await servingWorld();
    const taken = at({ step: "fence", moment: "after" }, () => world.rewriteLease(fields));
    const { end } = await runInWorld({ saga: stop, world, openPorts: () => world.ports, faults: taken });
    expect(end).toMatchObject({ state: "halted", reason: { code: "lease-mismatch" } });
    expect(world.lease()).toMatchObject(fields);
  });
});

describe("a stop that is taken back", () => {
  it("serves again in place, in a higher epoch, with a key of its own", async () => {
    const world = await fencedWorld();
    world.source.stopManner = "graceful";
    const fails = failing({ step: "release", phase: "do", moment: "after" });
    expect(await stopIn(world, fails)).toMatchObject({ state: "rolled-back" });
    expect(world.lease()).toMatchObject({ state: "running", holder: sourceId, epoch: 2 });
    expect([...world.fence.disabled]).toEqual([`${sourceId} in epoch 1`]);
  });

  it.each(["refused", "silent"] as const)("leaves a source that was %s running", async (manner) => {
    const world = await servingWorld();
    world.source.stopManner = manner;
    expect(await stopIn(world)).toMatchObject({ state: "rolled-back" });
    expect(world.lease()).toMatchObject({ state: "running", epoch: 1 });
  });
});

describe("a stop that nobody answers", () => {
  const leaves = (world: FakeWorld): Faults =>
    at({ step: "stop", phase: "do", moment: "before" }, () => (world.source.isAway = true));
  const returns = (world: FakeWorld): Faults =>
    both(
      at({ step: "release", phase: "do", moment: "after" }, () => (world.source.isAway = false)),
      failing({ step: "release", phase: "do", moment: "after" }),
    );
  const stopBy = async (world: FakeWorld, strategy: "failover" | "halt", faults: Faults) => {
    const given = { ...input, stop: { ...usualStopPolicy, strategy } };
    const openPorts = () => world.ports;
    return (await runInWorld({ saga: stop, world, openPorts, faults, input: given })).end;
  };

  it("is released by failover behind a fence, as a possible loss: a lease that only a grant starts from", async () => {
    const world = await fencedWorld();
    expect(await stopBy(world, "failover", leaves(world))).toEqual({ state: "committed" });
    expect(world.fence.proven).toEqual([`${sourceId} in epoch 1`]);
    expect(world.records).toMatchObject({ stopped: true, possibleLoss: true });
    expect(world.lease()).toMatchObject({ state: "stopped", holder: sourceId, epoch: 1 });
  });

  it("is taken back where the source is there after all: it is stopped, for its lease is gone, and serves anew", async () => {
    const world = await servingWorld();
    const decision = { kind: "override", reason: "the rack burned", by: "ada", at: "2026-01-01T00:00:00Z" };
    for (const halt of [1, 2]) world.journal.messages.set(decisionTopic(halt), decision);
    expect(await stopBy(world, "halt", both(leaves(world), returns(world)))).toMatchObject({
      state: "rolled-back",
    });
    expect(world.source).toMatchObject({ state: "running", clientsLetIn: true });
    expect(world.source.effects).toMatchObject({ execs: 2, stops: 1 });
    expect(world.lease()).toMatchObject({ state: "running", holder: sourceId, epoch: 2 });
  });
});
