import { describe, expect, it } from "vitest";
import {
  type FakeWorld,
  createFakeWorld,
  input,
  operationId,
  sourceId,
  targetId,
} from "./fakes/fake-world.ts";
import { failing, runInWorld } from "./fakes/saga.testsuite.ts";
import { followLease } from "./follow-lease.ts";
import { migrate } from "./migrate.saga.ts";
import { type Faults, noFaults } from "./progress.port.ts";

/** As it is after this much of a migration, whatever the records say then. */
async function worldAfter(faults: Faults = noFaults): Promise<FakeWorld> {
  const world = createFakeWorld();
  await world.serveOnSource();
  await runInWorld({ saga: migrate, world, openPorts: () => world.ports, faults });
  return world;
}

const follow = (world: FakeWorld, verify: typeof input.verify = null, operation = operationId) =>
  followLease({
    above: 1,
    operation,
    input: { ...input, verify },
    ports: world.ports,
    signal: AbortSignal.timeout(5_000),
  });

const verify = { method: "POST", path: "/canary", timeoutMs: 1 } as const;
/** The source is still there, held. */
const unretired = failing({ step: "retire", phase: "do", moment: "before" });
const takenBack = failing({ step: "verify", phase: "do", moment: "after" });

describe("a lease that is newer than the records", () => {
  it("is followed to the target, which is verified and lets clients in", async () => {
    const world = await worldAfter();
    world.target.clientsLetIn = false;
    const expected = { end: "committed", placement: targetId, epoch: 2 };
    expect([await follow(world, verify), await follow(world)]).toEqual([expected, expected]);
    expect(world.target.clientsLetIn).toBe(true);
    world.target.verifyFails = true;
    await expect(follow(world, verify)).rejects.toMatchObject({ code: "application-not-ready" });
  });

  it("is followed where the cluster of the source, which was removed, has nothing to say of it", async () => {
    const world = await worldAfter();
    world.source.witnessed = "unknown";
    expect(await follow(world)).toMatchObject({ end: "committed" });
  });

  it("is followed back to the source", async () => {
    const world = await worldAfter(takenBack);
    expect(await follow(world, verify)).toEqual({ end: "rolled-back", placement: sourceId, epoch: 3 });
  });

  const cases: readonly { readonly why: string; readonly change: (world: FakeWorld) => unknown }[] = [
    { why: "it is of another operation", change: (world) => world.removeLease() },
    { why: "it is of another operation", change: (world) => world.rewriteLease({ owner: "somebody/else" }) },
    {
      why: "it is of another operation",
      change: (world) => world.rewriteLease({ operation: "op-99999999999999999999" }),
    },
    {
      why: "which is not of this operation",
      change: (world) =>
        world.rewriteLease({ holder: "pl-00000000000000000009", state: "stopped", run: null }),
    },
    { why: "it is stopped, not running", change: (world) => world.target.die() },
    { why: "is held, in another run", change: (world) => (world.target.state = "held") },
    { why: "in another run or epoch", change: (world) => (world.target.epoch = 9) },
    {
      why: "in another run or epoch",
      change: (world) => (world.target.run = { placement: targetId, instance: "2", counter: 9 }),
    },
    { why: "it is not newer", change: (world) => world.rewriteLease({ epoch: 1 }) },
    { why: "says unknown", change: (world) => (world.source.witnessed = "unknown") },
    { why: "says running", change: (world) => (world.source.witnessed = "running") },
  ];
  it.each(cases)("is not where $why", async ({ why, change }) => {
    const world = await worldAfter(unretired);
    world.target.clientsLetIn = false;
    await change(world);
    await expect(follow(world)).rejects.toMatchObject({
      code: "lease-newer",
      message: expect.stringContaining(why) as string,
    });
    expect(world.target.clientsLetIn).toBe(false);
  });
});
