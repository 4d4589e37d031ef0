/* Cases of docs/fault-cases.md that are about what a migration does with what it is told, by number. */
import { AppError, type Decision, type Run, type StopPolicy, usualStopPolicy } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import {
  type FakeWorld,
  createFakeWorld,
  input as usualInput,
  sourceId,
  targetId,
} from "./fakes/fake-world.ts";
import { FakePlacement } from "./fakes/fake-placement.ts";
import { lookThrough } from "./fakes/look-through.ts";
import { at, expectPromises, runInWorld } from "./fakes/saga.testsuite.ts";
import { decisionTopic } from "./halt.ts";
import { migrate, migrateCold } from "./migrate.saga.ts";
import type { DeployInput, MigratePorts } from "./ports.ts";
import { type FaultPoint, type Faults, noFaults } from "./progress.port.ts";
import type { Saga } from "./saga.ts";

async function servingWorld({ fence = false } = {}): Promise<FakeWorld> {
  const world = createFakeWorld();
  if (fence) world.ports.fence = world.fence;
  await world.serveOnSource();
  return world;
}

async function migrateIn(
  world: FakeWorld,
  faults: Faults = noFaults,
  stop: Partial<StopPolicy> = {},
  saga: Saga<DeployInput, MigratePorts> = migrate,
) {
  const input = { ...usualInput, stop: { ...usualStopPolicy, ...stop } };
  const { end } = await runInWorld({ saga, world, openPorts: () => world.ports, faults, input });
  return end;
}

const resume = (world: FakeWorld): void => {
  const decision: Decision = {
    kind: "resume",
    reason: "it is back",
    by: "ada",
    at: "2026-01-01T00:00:00.000Z",
  };
  world.journal.messages.set(decisionTopic(1), decision);
};

function expectNothingPassed(world: FakeWorld): void {
  expect(world.target.effects.execs).toBe(0);
  expect(world.lease()).toMatchObject({ holder: sourceId, epoch: 1 });
  expect(world.source.effects.removed).toBe(0);
}

/** Everything that is said about the stop is lost. */
const loseMessages = (world: FakeWorld): void => {
  world.journal.messages.set = () => world.journal.messages;
};

const moments: readonly [string, Partial<FaultPoint>][] = [
  ["before its stop", { step: "stop", phase: "do", moment: "before" }],
  ["during its stop", { step: "stop", phase: "do", moment: "after" }],
  ["after its stop", { step: "fence", phase: "do", moment: "before" }],
];

describe("a source that cannot be reached", () => {
  const leaves = (world: FakeWorld, point: Partial<FaultPoint>): Faults =>
    at(point, () => {
      world.source.isAway = true;
    });

  it.each(moments)(
    "fault case 1: %s passes nothing on by silence, and serves again once it is back",
    async (_when, point) => {
      const world = await servingWorld();
      const set = world.journal.messages.set.bind(world.journal.messages);
      if (point.step === "stop") loseMessages(world);
      expect(await migrateIn(world, leaves(world, point))).toMatchObject({ state: "halted" });
      expectNothingPassed(world);
      world.source.isAway = false;
      world.journal.messages.set = set;
      resume(world);
      const end = await migrateIn(world);
      expect(end).toMatchObject({ state: "rolled-back" });
      expectPromises(world, end);
    },
  );

  it.each(moments.slice(0, 2))(
    "fault case 1: %s is passed on by failover behind a proven fence only",
    async (_when, point) => {
      const world = await servingWorld({ fence: true });
      loseMessages(world);
      expect(await migrateIn(world, leaves(world, point), { strategy: "failover" })).toEqual({
        state: "committed",
      });
      expect(world.fence.proven).toEqual([`${sourceId} in epoch 1`]);
      expect(world.records).toMatchObject({ possibleLoss: true, placement: targetId });
      expect(world.overlaps).toEqual([]);
    },
  );
});

describe("a cluster that does not say what runs", () => {
  it("fault case 2: a listing that fails blocks the handover, and is not taken for an empty one", async () => {
    const world = await servingWorld();
    world.source.witness = () =>
      Promise.reject(new AppError("cluster-unavailable", "cannot list what runs on harbor-a: no answer"));
    expect(await migrateIn(world)).toMatchObject({
      state: "halted",
      reason: { code: "cluster-unavailable" },
    });
    // It stopped gracefully, with proof, and still nobody was asked from outside.
    expect(world.records.receipts[0]?.receipt).toMatchObject({
      outcome: "graceful",
      evidenceClass: "proven",
    });
    expectNothingPassed(world);
  });
});

describe("a receipt that is good and about something else", () => {
  const other: Run = { placement: sourceId, instance: "another", counter: 1 };

  it.each([
    [
      "fault case 10: from an older epoch is refused, before anything is fenced or passed on by it",
      { epoch: 0 },
    ],
    ["fault case 11: of another instance is refused", { run: other }],
    ["fault case 11: of another placement is refused", { placement: targetId }],
  ])("%s", async (_title, fields) => {
    const world = await servingWorld({ fence: true });
    const { verifyReceipt } = world.source;
    world.source.verifyReceipt = async (jws) => {
      const { receipt } = await verifyReceipt(jws);
      return { jws, receipt: { ...receipt, ...fields } };
    };
    const end = await migrateIn(world);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "receipt-invalid" } });
    expectPromises(world, end);
    expect(world.target.effects.execs).toBe(0);
    expect(world.fence.proven).toEqual([]);
  });
});

describe("a target that is not there to start", () => {
  it.each([
    ["before the fence, the source untouched", migrate, 0],
    ["after the fence, the source started again in place", migrateCold, 1],
  ] as const)("fault case 14: one that cannot be made %s", async (_when, saga, stops) => {
    const world = await servingWorld();
    world.target.place = () =>
      Promise.reject(
        new AppError("cluster-unavailable", "cannot place the target: its image cannot be pulled"),
      );
    const end = await migrateIn(world, noFaults, {}, saga);
    expect(end).toMatchObject({
      state: "rolled-back",
      reason: { detail: expect.stringContaining("cannot be pulled") as string },
    });
    expectPromises(world, end);
    expect(world.source.effects.stops).toBe(stops);
  });
});

describe("a target that is not well", () => {
  const verify = { method: "POST", path: "/canary", timeoutMs: 1_000, soakMs: 3_000 } as const;

  it.each([
    ["before its first write", 1],
    ["after its first write", 2],
  ])(
    "fault case 15: %s is stopped with proof, and what it wrote is waited for before the source starts",
    async (_when, failsAt) => {
      const world = await servingWorld();
      world.ports.replica = world.replica.port;
      let checks = 0;
      const check = world.target.verify;
      world.target.verify = async () => {
        checks += 1;
        world.target.verifyFails = checks === failsAt;
        await check();
      };
      const input = { ...usualInput, verify };
      const { end } = await runInWorld({ saga: migrate, world, openPorts: () => world.ports, input });
      expect(end).toMatchObject({ state: "rolled-back", reason: { code: "application-not-ready" } });
      expectPromises(world, end);
      expect(world.replica.waits).toEqual(["source", "target"]);
      expect(world.lease()).toMatchObject({ holder: sourceId, epoch: 3, state: "running" });
    },
  );
});

describe("a failback", () => {
  it("fault case 23: right after a failover goes to a new placement, while the one that was lost writes nothing", async () => {
    const world = await servingWorld({ fence: true });
    const lost = at({ step: "stop", phase: "do", moment: "before" }, () => {
      world.source.isAway = true;
    });
    expect(await migrateIn(world, lost, { strategy: "failover" })).toEqual({ state: "committed" });
    expect([...world.running].toSorted()).toEqual([sourceId, targetId]);

    const { ports, journal, records, target: serving } = world;
    const { owner, prefix } = ports.lease;
    const placement = "pl-00000000000000000003";
    const back = new FakePlacement({
      placement,
      cluster: world.source.cluster,
      owner,
      prefix,
      application: usualInput.application,
      store: world.bucket.open(),
      confirm: () => undefined,
      // Two at once would show here; the one that was lost has no key.
      onRunning: (_who, isRunning) => {
        if (isRunning) expect(serving.state).toBe("stopped");
      },
    });
    journal.entries.clear();
    journal.messages.clear();
    records.state = "open";
    const seen = { kind: "migrate", application: usualInput.application, isResting: false, hasFence: true };
    const look = (signal: AbortSignal) =>
      lookThrough(
        { ...seen, source: serving, target: back, lease: ports.lease, highestEpoch: records.highest },
        signal,
      );
    const preflight = { ...ports.preflight, look };
    const again: MigratePorts = { ...ports, source: serving, target: back, preflight };
    const { end } = await runInWorld({ saga: migrate, world, openPorts: () => again });
    expect(end).toEqual({ state: "committed" });
    expect(back).toMatchObject({ state: "running", clientsLetIn: true });
    expect(serving.state).toBe("removed");
    expect(world.lease()).toMatchObject({ holder: placement, epoch: 3, state: "running" });
    // It still runs, where nobody reaches it; its key never comes back.
    expect(world.source.state).toBe("running");
    expect(world.fence.disabled.has(`${sourceId} in epoch 1`)).toBe(true);
  });
});

describe("a stop that lies", () => {
  it.each(["running", "unknown"] as const)(
    "fault case 27: one that reports a graceful end while the witness says %s passes nothing, by no strategy but a failover",
    async (witnessed) => {
      for (const strategy of ["give-up", "force", "halt"] as const) {
        const world = await servingWorld({ fence: true });
        world.source.stopManner = "straggler";
        world.source.witnessed = witnessed;
        const end = await migrateIn(world, noFaults, { strategy });
        expect(end.state).not.toBe("committed");
        expectNothingPassed(world);
        expect(world.fence.disabled.size).toBe(0);
      }
    },
  );
});

describe("a target that vanishes", () => {
  const vanishes = (world: FakeWorld, step: string): Faults =>
    at({ step, phase: "do", moment: "before" }, () => {
      world.target.isAway = true;
    });
  const steps = migrate.steps.map(({ name }) => name);
  const pivot = steps.indexOf("commit");

  it.each(steps.slice(0, pivot))(
    "at %s halts before the pivot, and nobody starts beside it",
    async (step) => {
      const world = await servingWorld();
      const end = await migrateIn(world, vanishes(world, step));
      expect(end).toMatchObject({ state: "halted" });
      expect(world.overlaps).toEqual([]);
      expect(world.records).toMatchObject({ placement: sourceId, retired: [] });
      expect(world.source.effects.removed).toBe(0);
    },
  );

  it("at verify, its end not written on the lease, is taken back by what its agent says", async () => {
    const world = await servingWorld();
    const dies = at({ step: "verify", phase: "do", moment: "before", attempt: 1 }, async () => {
      world.failWrites(10);
      await world.target.die();
    });
    const end = await migrateIn(world, dies);
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "wrong-state" } });
    expectPromises(world, end);
  });

  it("at the pivot itself halts, and the source is kept", async () => {
    const world = await servingWorld();
    expect(await migrateIn(world, vanishes(world, "commit"))).toMatchObject({ state: "halted" });
    expect(world.target.clientsLetIn).toBe(false);
    expect(world.source.effects.removed).toBe(0);
  });
});
