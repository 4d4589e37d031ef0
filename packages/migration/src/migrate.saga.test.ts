import { isAppError } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import {
  type FakeWorld,
  createFakeWorld,
  input,
  operationId,
  sourceId,
  targetId,
} from "./fakes/fake-world.ts";
import { failing, runInWorld, testSaga } from "./fakes/saga.testsuite.ts";
import { migrate } from "./migrate.saga.ts";
import type { DeployInput } from "./ports.ts";
import { type Faults, type SagaEnd, noFaults } from "./progress.port.ts";

async function servingWorld(): Promise<FakeWorld> {
  const world = createFakeWorld();
  await world.serveOnSource();
  return world;
}

const migrateIn = (world: FakeWorld, faults: Faults = noFaults, given: DeployInput = input) =>
  runInWorld({ saga: migrate, world, ports: world.ports, faults, input: given });

async function expectPromises(world: FakeWorld, end: SagaEnd): Promise<void> {
  const lease = (await world.lease())?.lease;
  expect(world.overlaps).toEqual([]);
  expect(world.running.size).toBe(1);
  expect(lease?.state).toBe("running");
  expect(world.records.highest).toBeGreaterThanOrEqual(lease?.epoch ?? Infinity);
  const [holder, other] =
    end.state === "committed" ? [world.target, world.source] : [world.source, world.target];
  expect(lease).toMatchObject({ holder: holder.placement, run: holder.run, epoch: holder.epoch });
  expect(holder).toMatchObject({ state: "running", clientsLetIn: true });
  expect(["removed", "absent"]).toContain(other.state);
  expect(world.records.placement).toBe(holder.placement);
  expect(world.records.epoch).toBe(lease?.epoch);
  if (end.state === "rolled-back") expect(world.source.effects.placed).toBe(1);
}

testSaga({ saga: migrate, open: servingWorld, portsOf: (world) => world.ports, expectPromises });

describe("migrate", () => {
  it("moves the application and retires the source", async () => {
    const world = await servingWorld();
    const { end } = await migrateIn(world);
    expect(end).toEqual({ state: "committed" });
    await expectPromises(world, end);
    expect(world.source.effects).toEqual({ placed: 1, removed: 1, execs: 1, stops: 1, burns: 0 });
    expect(world.target.effects).toEqual({ placed: 1, removed: 0, execs: 1, stops: 0, burns: 0 });
    expect(world.records.retired).toEqual([sourceId]);
  });

  it("halts after the pivot when the source cannot be retired, and the target serves", async () => {
    const world = await servingWorld();
    const { end } = await migrateIn(world, failing({ step: "retire", phase: "do", moment: "before" }));
    expect(end.state).toBe("halted");
    expect(world.target).toMatchObject({ state: "running", clientsLetIn: true });
    expect(world.records.placement).toBe(targetId);
  });

  it("touches nothing when preflight finds something", async () => {
    const world = await servingWorld();
    world.source.clientsLetIn = true;
    world.ports.lease.probe = () => Promise.reject(new Error("no answer"));
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({
      state: "rolled-back",
      reason: { code: "preflight-failed", detail: expect.stringContaining("no answer") as string },
    });
    expect(world.target.state).toBe("absent");
    expect(world.source.effects.stops).toBe(0);
  });
});

describe("a source that does not stop as it should", () => {
  it("keeps serving when it refuses", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "stop-refused" } });
    await expectPromises(world, end);
    expect((await world.lease())?.lease.epoch).toBe(1);
  });

  it("is withdrawn from when it is silent, and the late stop does nothing", async () => {
    const world = await servingWorld();
    world.source.stopManner = "silent";
    const { end, names } = await migrateIn(world);
    expect(names).toContain("stop.settle");
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "stop-unknown" } });
    await expectPromises(world, end);
    world.source.stopManner = "graceful";
    const { run, epoch } = world.source;
    if (run === null) throw new Error("the source has no run");
    const key = `${operationId}.stop.1.${sourceId}.1.1`;
    await expect(
      world.source.stop({ key, run, epoch, deadlineMs: 1 }, AbortSignal.timeout(1_000)),
    ).rejects.toSatisfy((error) => isAppError(error) && error.code === "command-withdrawn");
    expect(world.source.state).toBe("running");
  });

  it("starts again in place when it crashed during the stop: that is no graceful stop", async () => {
    const world = await servingWorld();
    world.source.stopManner = "crashed-during-stop";
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "handover-refused" } });
    await expectPromises(world, end);
  });

  it("halts the operation when its receipt says unknown and the agent is not running it", async () => {
    const world = await servingWorld();
    world.source.stopManner = "unknown";
    const status = world.source.status;
    let asked = 0;
    world.source.status = async () => {
      asked += 1;
      return asked > 2 ? { ...(await status()), state: "unknown" } : status();
    };
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "halted", reason: { code: "stop-unknown" } });
    expect(world.target.effects.execs).toBe(0);
  });

  it.each(["running", "unknown"] as const)(
    "is not passed on while the witness says %s",
    async (witnessed) => {
      const world = await servingWorld();
      world.source.witnessed = witnessed;
      const { end } = await migrateIn(world);
      expect(end).toMatchObject({ state: "rolled-back", reason: { code: "handover-refused" } });
      await expectPromises(world, end);
      expect(world.target.effects.execs).toBe(0);
    },
  );
});

describe("a target that does not come up", () => {
  it("is stopped, and the source serves again with a higher epoch", async () => {
    const world = await servingWorld();
    world.target.verifyFails = true;
    const withCheck = { ...input, verify: { method: "POST", path: "/canary", timeoutMs: 1_000 } } as const;
    const { end } = await migrateIn(world, noFaults, withCheck);
    expect(end.state).toBe("rolled-back");
    await expectPromises(world, end);
    expect((await world.lease())?.lease.epoch).toBe(3);
  });

  it("exits at its start, and the source serves again", async () => {
    const world = await servingWorld();
    world.target.startFails = true;
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "application-exited" } });
    await expectPromises(world, end);
  });

  it("halts the operation when it does not stop with proof", async () => {
    const world = await servingWorld();
    world.target.stopManner = "crashed-during-stop";
    const { end } = await migrateIn(world, failing({ step: "verify", phase: "do", moment: "after" }));
    expect(end).toMatchObject({ state: "halted", reason: { code: "handover-refused" } });
    expect(world.overlaps).toEqual([]);
    expect(world.running.size).toBe(0);
  });
});

describe("the store's unclear answers (safety rule 7)", () => {
  for (const write of ["applied", "dropped"] as const)
    it(`hand over once when the answer is lost and the write was ${write}`, async () => {
      const world = await servingWorld();
      const faults: Faults = {
        reach: async ({ step, phase, moment }) => {
          if (step === "handOver" && phase === "do" && moment === "before")
            world.bucket.inject({ kind: "unclear", write });
        },
      };
      const { end } = await migrateIn(world, faults);
      expect(end.state).toBe("committed");
      await expectPromises(world, end);
      expect((await world.lease())?.lease.epoch).toBe(2);
    });
});
