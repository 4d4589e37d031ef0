import { AppError, isAppError } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import {
  type FakeWorld,
  createFakeWorld,
  input,
  operationId,
  sourceId,
  targetId,
} from "./fakes/fake-world.ts";
import { at, expectPromises, failing, runInWorld, testSaga } from "./fakes/saga.testsuite.ts";
import { migrate, migrateCold } from "./migrate.saga.ts";
import { hashOf, planParts } from "./plan/plan-parts.ts";
import { checkPreflight } from "./preflight/check-preflight.ts";
import type { DeployInput } from "./ports.ts";
import { type Faults, noFaults } from "./progress.port.ts";

async function servingWorld(): Promise<FakeWorld> {
  const world = createFakeWorld();
  await world.serveOnSource();
  return world;
}

const migrateIn = (world: FakeWorld, faults: Faults = noFaults, given: DeployInput = input) =>
  runInWorld({ saga: migrate, world, openPorts: () => world.ports, faults, input: given });

testSaga({ saga: migrate, open: servingWorld, portsOf: (world) => world.ports });
testSaga({ saga: migrateCold, open: servingWorld, portsOf: (world) => world.ports });

/** The storage gives each placement its own key, and the source does not stop gracefully. */
async function fencedWorld(): Promise<FakeWorld> {
  const world = await servingWorld();
  world.ports.fence = world.fence;
  world.source.stopManner = "crashed-during-stop";
  return world;
}

testSaga({
  saga: { name: "migrate@1 over a fence", steps: migrate.steps },
  open: fencedWorld,
  portsOf: (world) => world.ports,
});

describe("migrate on a storage with a fence", () => {
  const sourceKey = `${sourceId} in epoch 1`;

  it("fences a source that did not stop gracefully, and marks the possible loss", async () => {
    const world = await fencedWorld();
    const { end } = await migrateIn(world);
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
    expect(world.fence.proven).toEqual([sourceKey]);
    expect(world.records).toMatchObject({ possibleLoss: true, fences: [{ key: { identity: sourceKey } }] });
  });

  it("needs none after a graceful stop, and takes the retired source's key away all the same", async () => {
    const world = await fencedWorld();
    world.source.stopManner = "graceful";
    const { end } = await migrateIn(world);
    expect(end).toEqual({ state: "committed" });
    expect(world.fence.proven).toEqual([]);
    expect(world.records).toMatchObject({ possibleLoss: false, fences: [] });
    expect([...world.fence.disabled]).toEqual([sourceKey]);
  });

  it("takes the keys of both ended epochs away when it goes back, and not the one that serves", async () => {
    const world = await fencedWorld();
    world.source.stopManner = "graceful";
    const { end } = await migrateIn(world, failing({ step: "verify", phase: "do", moment: "after" }));
    expect(end.state).toBe("rolled-back");
    expectPromises(world, end);
    expect([...world.fence.disabled]).toEqual([sourceKey, `${targetId} in epoch 2`]);
    expect(world.lease()).toMatchObject({ holder: sourceId, epoch: 3 });
  });

  it("takes no refusal for a proof of a key that was refused before", async () => {
    const world = await fencedWorld();
    await world.fence.disable({ placement: sourceId, epoch: 1 }, AbortSignal.timeout(1_000));
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "fence-unproven" } });
    expectPromises(world, end);
    expect(world.target.effects.execs).toBe(0);
  });

  it.each(["running", "unknown"] as const)(
    "disables nothing while the witness says %s: that takes the strategy failover",
    async (witnessed) => {
      const world = await fencedWorld();
      world.source.witnessed = witnessed;
      const { end } = await migrateIn(world);
      expect(end).toMatchObject({ state: "halted", reason: { code: "handover-refused" } });
      expect([...world.fence.disabled]).toEqual([]);
    },
  );

  it("is not passed when the witness changes its mind behind the fence", async () => {
    const world = await fencedWorld();
    const apply = world.fence.apply.bind(world.fence);
    world.fence.apply = (holder, signal) => {
      world.source.witnessed = "running";
      return apply(holder, signal);
    };
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "halted", reason: { code: "handover-refused" } });
    expect(world.target.effects.execs).toBe(0);
  });

  it("is not passed by a fence that is not proven", async () => {
    const world = await fencedWorld();
    world.fence.apply = () =>
      Promise.reject(new AppError("fence-unproven", "an endpoint still takes writes"));
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "fence-unproven" } });
    expectPromises(world, end);
    expect(world.target.effects.execs).toBe(0);
  });
});

describe("migrate", () => {
  it("moves the application and retires the source", async () => {
    const world = await servingWorld();
    const { end } = await migrateIn(world);
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
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

  it("halts after the pivot, and removes nothing, while a process of the source lives", async () => {
    const world = await servingWorld();
    const revived = at({ step: "retire", moment: "before" }, () => (world.source.state = "running"));
    const { end } = await migrateIn(world, revived);
    expect(end).toMatchObject({ state: "halted", reason: { code: "wrong-state" } });
    expect(world.source.effects.removed).toBe(0);
  });

  it("touches nothing when preflight finds something", async () => {
    const world = await servingWorld();
    world.source.clientsLetIn = true;
    world.disguise = (facts) => ({
      ...facts,
      storage: { ...facts.storage, probe: { known: false, why: "no answer" } },
    });
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({
      state: "rolled-back",
      reason: { code: "preflight-failed", detail: expect.stringContaining("no answer") as string },
    });
    expect(world.target.state).toBe("absent");
    expect(world.source.effects.stops).toBe(0);
    expect(world.findings).toMatchObject([{ id: "storage-unprobed", severity: "blocking" }]);
  });

  it("goes by its plan, and touches nothing where something changed since", async () => {
    const plans: string[] = [];
    for (const strategy of ["give-up", "halt"] as const) {
      const world = await servingWorld();
      world.disguise = (facts) => {
        const request = { ...facts.request, strategy };
        const now = { ...facts, request };
        plans.push(hashOf(planParts(now, checkPreflight(now))));
        return { ...now, request: { ...request, plan: plans[0] ?? null } };
      };
      const { end } = await migrateIn(world);
      const stale = { code: "plan-stale", detail: expect.stringContaining("plan again") as string };
      expect(end).toMatchObject(
        strategy === "give-up" ? { state: "committed" } : { state: "rolled-back", reason: stale },
      );
      expect(world.source.effects.stops).toBe(strategy === "give-up" ? 1 : 0);
    }
  });
});

describe("a source that does not stop as it should", () => {
  it("keeps serving when it refuses", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "stop-refused" } });
    expectPromises(world, end);
    expect(world.lease()?.epoch).toBe(1);
  });

  it("is withdrawn from when it is silent, and the late stop does nothing", async () => {
    const world = await servingWorld();
    world.source.stopManner = "silent";
    const { end, names } = await migrateIn(world);
    expect(names).toContain("stop.settle");
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "stop-unknown" } });
    expectPromises(world, end);
    world.source.stopManner = "graceful";
    const { run, epoch } = world.source;
    if (run === null) throw new Error("the source has no run");
    const key = `${operationId}.stop.1.${sourceId}.1.1`;
    await expect(
      world.source.stop({ key, run, epoch, deadlineMs: 1 }, AbortSignal.timeout(1_000)),
    ).rejects.toSatisfy((error) => isAppError(error) && error.code === "command-withdrawn");
    expect(world.source.state).toBe("running");
  });

  it.each([
    {
      what: "by this very stop, which records that were set back do not know",
      key: `${operationId}.stop.1`,
      state: "committed",
    },
    { what: "by another one", key: "another", state: "rolled-back" },
  ])("that has ended $what, ends it as $state", async ({ key, state }) => {
    const world = await servingWorld();
    const stopped = at({ step: "prepare", phase: "do", moment: "after" }, async () => {
      const { run, epoch } = world.source;
      if (run === null) throw new Error("the source has no run");
      const stop = { key: key === "another" ? key : `${key}.${sourceId}.1.1`, run, epoch, deadlineMs: 1 };
      await world.source.stop(stop, AbortSignal.timeout(1_000));
      if (key === "another") world.source.receipt = () => Promise.reject(new Error("no such key"));
    });
    const { end } = await migrateIn(world, stopped);
    expect(end.state).toBe(state);
    expect(world.source.effects.stops).toBe(1);
    if (state === "committed") expectPromises(world, end);
    else expect(end).toMatchObject({ reason: { code: "wrong-state" } });
  });

  it("starts again in place when it crashed during the stop: that is no graceful stop", async () => {
    const world = await servingWorld();
    world.source.stopManner = "crashed-during-stop";
    const { run } = world.source;
    if (run === null) throw new Error("the source has no run");
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "handover-refused" } });
    const late = { key: "late", run, epoch: 1, deadlineMs: 1 };
    await expect(world.source.stop(late, AbortSignal.timeout(1_000))).rejects.toThrow("that run is over");
    expectPromises(world, end);
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
    "is neither passed on nor started again while the witness says %s",
    async (witnessed) => {
      const world = await servingWorld();
      world.source.witnessed = witnessed;
      const { end } = await migrateIn(world);
      expect(end).toMatchObject({ state: "halted", reason: { code: "handover-refused" } });
      expectPromises(world, end);
      expect(world.source.effects.execs).toBe(1);
      expect(world.target.effects.execs).toBe(0);
    },
  );
});

describe("a source that was given back", () => {
  it("and died again before that was recorded starts once more, in an epoch of its own", async () => {
    const world = await servingWorld();
    const { end } = await migrateIn(world, {
      async reach({ step, phase, moment, attempt }) {
        if (step === "verify" && phase === "do") throw new AppError("injected-fault", "planted");
        if (step !== "stop" || phase !== "undo" || moment !== "after" || attempt > 1) return;
        await world.source.die();
        throw new AppError("injected-fault", "planted");
      },
    });
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "injected-fault" } });
    expect([...world.running]).toEqual([world.source.placement]);
    expect(world.source).toMatchObject({ clientsLetIn: true, epoch: 4 });
  });
});

describe("the receipt of the stop", () => {
  it("is asked for when its message is lost", async () => {
    const world = await servingWorld();
    world.journal.messages.set = () => world.journal.messages;
    const { end } = await migrateIn(world);
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
  });

  it.each([
    { key: "another" },
    { placement: targetId },
    { run: { placement: sourceId, instance: "1", counter: 7 } },
  ])("is refused when it is about another stop: %o", async (fields) => {
    const world = await servingWorld();
    const { verifyReceipt } = world.source;
    world.source.verifyReceipt = async (jws) => {
      const { receipt } = await verifyReceipt(jws);
      return { jws, receipt: { ...receipt, ...fields } };
    };
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "receipt-invalid" } });
    expectPromises(world, end);
    // The way back asks the agent itself and keeps what it says.
    expect(world.records.receipts).toHaveLength(1);
    expect(world.records.receipts[0]?.receipt).not.toMatchObject(fields);
  });
});

describe("a target that does not come up", () => {
  it.each([null, "no route"])("is not used when its agent cannot use the bucket: %s", async (detail) => {
    const world = await servingWorld();
    const { place } = world.target;
    world.target.place = async () => ({
      ...(await place()),
      lease: { reachable: false, lost: false, detail },
    });
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({
      state: "rolled-back",
      reason: {
        code: "storage-unreachable",
        detail: expect.stringContaining(detail ?? "no reason given") as string,
      },
    });
    expectPromises(world, end);
    expect(world.source.effects.stops).toBe(0);
  });

  it("is stopped, and the source serves again with a higher epoch", async () => {
    const world = await servingWorld();
    world.target.verifyFails = true;
    const withCheck = { ...input, verify: { method: "POST", path: "/canary", timeoutMs: 1_000 } } as const;
    const { end } = await migrateIn(world, noFaults, withCheck);
    expect(end.state).toBe("rolled-back");
    expectPromises(world, end);
    expect(world.lease()?.epoch).toBe(3);
  });

  it("exits at its start, and the source serves again", async () => {
    const world = await servingWorld();
    world.target.startFails = true;
    const { end } = await migrateIn(world);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "application-exited" } });
    expectPromises(world, end);
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
      expectPromises(world, end);
      expect(world.lease()?.epoch).toBe(2);
    });
});
