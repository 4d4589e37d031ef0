import type { Lease } from "@baton/storage";
import { describe, expect, it } from "vitest";
import { type FakeWorld, createFakeWorld, input } from "./fakes/fake-world.ts";
import { at, expectPromises, runInWorld, testSaga } from "./fakes/saga.testsuite.ts";
import { deploy } from "./deploy.saga.ts";
import { noFaults } from "./progress.port.ts";
import type { DeployInput } from "./ports.ts";

const emptyWorld = (): Promise<FakeWorld> => Promise.resolve(createFakeWorld());

testSaga({ saga: deploy, open: emptyWorld, portsOf: (world) => world.ports });

const deployIn = (world: FakeWorld, given: DeployInput = input) =>
  runInWorld({ saga: deploy, world, openPorts: () => world.ports, input: given });

describe("deploy", () => {
  it("continues with the next epoch of a lease whose last run has ended", async () => {
    const world = createFakeWorld();
    await world.serveOnSource();
    world.wasServing = false;
    const { run, epoch } = world.source;
    if (run === null) throw new Error("the source has no run");
    await world.source.stop({ key: "k", run, epoch, deadlineMs: 1 }, AbortSignal.timeout(1_000));
    const { end } = await deployIn(world);
    expectPromises(world, end);
    expect(end.state).toBe("committed");
    expect(world.lease()?.epoch).toBe(2);
  });

  it("waits out the settle time of what an earlier run sent", async () => {
    const waits: number[] = [];
    for (const knownEpoch of [0, 1]) {
      const world = createFakeWorld();
      const clock = { ...world.ports.clock, wait: async (ms: number) => void waits.push(ms) };
      const ports = { ...world.ports, clock };
      const given = { ...input, settleMs: 70, knownEpoch };
      await runInWorld({ saga: deploy, world, openPorts: () => ports, input: given });
    }
    expect(waits).toEqual([70]);
  });

  /** Somebody has the lease: seen by preflight, or only afterwards. */
  const takenLease = async (fields: Partial<Lease>, when: "before" | "after") => {
    const world = createFakeWorld();
    const take = async (): Promise<void> => {
      await world.serveOnSource();
      world.wasServing = false;
      await world.rewriteLease(fields);
    };
    if (when === "before") await take();
    const faults = when === "before" ? noFaults : at({ step: "preflight", moment: "after" }, take);
    return { world, ...(await runInWorld({ saga: deploy, world, openPorts: () => world.ports, faults })) };
  };
  const taken = [
    ["before", "preflight-failed"],
    ["after", "lease-mismatch"],
  ] as const;

  it.each(taken)("refuses while the lease is somebody's, also %s preflight looked", async (when, code) => {
    const { world, end } = await takenLease({}, when);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code } });
    expect(world.target.effects.execs).toBe(0);
    expect(world.source.state).toBe("running");
  });

  it.each(taken)("refuses a lease that was fenced %s: whoever had it may be alive", async (when, code) => {
    const { world, end } = await takenLease({ state: "fenced" }, when);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code } });
    expect(world.target.effects.execs).toBe(0);
  });

  it("takes on a lease that was adopted, and none that was fenced in another epoch", async () => {
    for (const [adoptedEpoch, state] of [
      [1, "committed"],
      [2, "rolled-back"],
    ] as const) {
      const world = createFakeWorld();
      await world.serveOnSource();
      await world.source.die();
      world.wasServing = false;
      await world.rewriteLease({ state: "fenced" });
      world.disguise = (facts) => ({ ...facts, records: { ...facts.records, adoptedEpoch } });
      const { end } = await deployIn(world, { ...input, knownEpoch: 1, adoptedEpoch });
      expect(end.state).toBe(state);
      expect(world.lease()?.epoch).toBe(adoptedEpoch === 1 ? 2 : 1);
    }
  });

  it("refuses when a lease that is known is missing (safety rule 8)", async () => {
    const world = createFakeWorld();
    const { end } = await deployIn(world, { ...input, knownEpoch: 3 });
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "lease-missing" } });
    expect(world.target.effects.execs).toBe(0);
  });
});
