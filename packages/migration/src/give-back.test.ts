import { AppError } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { failsVerify, migrateIn, runIn, servingWorld } from "./fakes/migrate-in.testsuite.ts";
import type { FakeWorld } from "./fakes/fake-world.ts";
import { at, both, failing } from "./fakes/saga.testsuite.ts";

describe("a source that is to serve again", () => {
  const endsBeforeTakingBack = (world: FakeWorld): void => {
    const beginRollback = world.progress.beginRollback.bind(world.progress);
    world.progress.beginRollback = async (...call) => {
      await world.source.die();
      return beginRollback(...call);
    };
  };

  // It halted, and neither resuming nor answering for it led anywhere: no receipt would ever come.
  it("starts again when it ended before the stop came to it: its agent is asked once more", async () => {
    const world = await servingWorld();
    const dies = at({ step: "stop", phase: "do", moment: "before" }, () => world.source.die());
    expect(await migrateIn(world, both(dies, failing({ step: "stop", phase: "do" })))).toMatchObject({
      state: "rolled-back",
    });
    expect(world.source).toMatchObject({ state: "running", clientsLetIn: true, epoch: 2 });
    expect(world.records.receipts.map(({ receipt }) => receipt.outcome)).toEqual(["already-stopped"]);
  });

  it("halts the operation when it ended and its agent cannot tell how", async () => {
    const world = await servingWorld();
    const dies = at({ step: "stop", phase: "do", moment: "before" }, () => world.source.die());
    const withdraw = world.source.withdraw;
    world.source.withdraw = async (...call) => ({ ...(await withdraw(...call)), state: "unknown" });
    expect(await migrateIn(world, both(dies, failing({ step: "stop", phase: "do" })))).toMatchObject({
      state: "halted",
      reason: { code: "stop-unknown" },
    });
  });

  it("starts again when it refused the stop and ended while that was taken back", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    const dies = at({ step: "stop", phase: "undo", moment: "before" }, () => world.source.die());
    expect(await migrateIn(world, dies)).toMatchObject({ state: "rolled-back" });
    expect(world.source).toMatchObject({ state: "running", clientsLetIn: true, epoch: 2 });
  });

  it("halts the operation when it refused the stop, ended, and its agent cannot tell how", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    endsBeforeTakingBack(world);
    const withdraw = world.source.withdraw;
    world.source.withdraw = async (...call) => ({ ...(await withdraw(...call)), state: "unknown" });
    expect(await migrateIn(world)).toMatchObject({ state: "halted", reason: { code: "wrong-state" } });
  });

  it("starts again when it refused the stop and ended before that was taken back", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    endsBeforeTakingBack(world);
    expect(await migrateIn(world)).toMatchObject({ state: "rolled-back" });
    expect(world.source).toMatchObject({ state: "running", clientsLetIn: true, epoch: 2 });
  });

  // The first such failure was the last word: every later try asked in an epoch that was over, and no decision led on.
  it.each([1, 2])("is started once more when it ended before it was ready, %i times", async (times) => {
    const world = await servingWorld();
    const { start } = world.source;
    let failures = times;
    world.source.start = async (...call) => {
      world.source.startFails = (failures -= 1) >= 0;
      return start(...call);
    };
    expect(await migrateIn(world, failsVerify)).toMatchObject({ state: "rolled-back" });
    expect(world.source).toMatchObject({ state: "running", clientsLetIn: true, epoch: 3 + times });
    expect(world.source.effects.burns).toBe(0);
  });

  /** Something goes wrong in the store while the source is started the first time. */
  const whileFirstStarted = (world: FakeWorld, goesWrong: () => void): void => {
    const { start } = world.source;
    let isFirst = true;
    world.source.start = async (...call) => {
      if (isFirst) goesWrong();
      isFirst = false;
      return start(...call);
    };
  };

  it("is started by another grant when its agent could not use the first one, which is burned", async () => {
    const world = await servingWorld();
    whileFirstStarted(world, () => world.bucket.inject({ kind: "error", code: "deadline-exceeded" }));
    const { burn } = world.source;
    let isHeard = false;
    world.source.burn = async (...call) => {
      if (isHeard) return burn(...call);
      isHeard = true;
      throw new AppError("agent-unreachable", "no answer");
    };
    expect(await migrateIn(world, failsVerify)).toMatchObject({ state: "rolled-back" });
    expect(world.source).toMatchObject({ state: "running", clientsLetIn: true, epoch: 4 });
    expect(world.source.effects.burns).toBe(1);
  });

  it("is started by another grant when nobody knows whether the first one was used: that run is stopped", async () => {
    const world = await servingWorld();
    whileFirstStarted(world, () => world.failWrites(10));
    expect(await migrateIn(world, failsVerify)).toMatchObject({ state: "rolled-back" });
    expect(world.source).toMatchObject({ state: "running", clientsLetIn: true, epoch: 4 });
    expect(world.source.effects).toMatchObject({ burns: 0, execs: 2 });
  });

  it("halts the operation when somebody fenced its lease before the start came to it", async () => {
    const world = await servingWorld();
    world.source.start = async () => {
      await world.rewriteLease({ state: "fenced", grant: null });
      throw new AppError("agent-unreachable", "no answer");
    };
    expect(await runIn(world, failsVerify)).toMatchObject({
      state: "halted",
      reason: { code: "lease-mismatch" },
    });
    expect(world.running.size).toBe(0);
  });

  it("is left as it is when it ended before the stop", async () => {
    const world = await servingWorld();
    const dies = at({ step: "prepare", moment: "after" }, () => world.source.die());
    expect(await migrateIn(world, dies)).toMatchObject({
      state: "rolled-back",
      reason: { code: "wrong-state" },
    });
    expect(world.source.effects.stops).toBe(0);
  });
});
