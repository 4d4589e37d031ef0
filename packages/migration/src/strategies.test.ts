import { type Decision, type StopPolicy, usualStopPolicy } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { type FakeWorld, createFakeWorld, input as usualInput } from "./fakes/fake-world.ts";
import { at, expectPromises, failing, runInWorld } from "./fakes/saga.testsuite.ts";
import { decisionTopic } from "./halt.ts";
import { migrate, migrateCold } from "./migrate.saga.ts";
import type { SourcePorts } from "./ports.ts";
import { type Faults, noFaults } from "./progress.port.ts";
import { keepReceipt } from "./source-steps.ts";
import { stop } from "./stop.saga.ts";

async function servingWorld({ fence = false } = {}): Promise<FakeWorld> {
  const world = createFakeWorld();
  if (fence) world.ports.fence = world.fence;
  await world.serveOnSource();
  return world;
}

async function migrateIn(world: FakeWorld, policy: Partial<StopPolicy>, faults: Faults = noFaults) {
  const input = { ...usualInput, stop: { ...usualStopPolicy, ...policy } };
  const { end } = await runInWorld({ saga: migrate, world, openPorts: () => world.ports, faults, input });
  return end;
}

const decision = (kind: Decision["kind"]): Decision => ({
  kind,
  reason: "the rack burned",
  by: "ada",
  at: "2026-01-01T00:00:00.000Z",
});
const decideAt = (world: FakeWorld, halt: number, kind: Decision["kind"]): void =>
  void world.journal.messages.set(decisionTopic(halt), decision(kind));

const failsVerify = failing({ step: "verify", phase: "do", moment: "before" });
/** Before the stop is sent. */
const leaves = (world: FakeWorld): Faults =>
  at({ step: "stop", phase: "do", moment: "before" }, () => {
    world.source.isAway = true;
  });

describe("a source that refuses its stop", () => {
  it("is asked as often as the policy says, each time under a key of its own, and serves on", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    expect(await migrateIn(world, { attempts: 3 })).toMatchObject({
      state: "rolled-back",
      reason: { code: "stop-refused" },
    });
    const keys = world.records.receipts.map(({ receipt }) => receipt.key);
    expect(new Set(keys).size).toBe(3);
  });

  it("moves once it no longer refuses", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    const relents = at({ step: "stop", phase: "do", moment: "before", attempt: 2 }, () => {
      world.source.stopManner = "graceful";
    });
    const end = await migrateIn(world, { attempts: 2 }, relents);
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
  });

  it("is killed by `force`, and passed on behind a fence only, as a possible loss", async () => {
    const world = await servingWorld({ fence: true });
    world.source.stopManner = "refused";
    const end = await migrateIn(world, { strategy: "force" });
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
    expect(world.records).toMatchObject({ possibleLoss: true });

    const bare = await servingWorld();
    bare.source.stopManner = "refused";
    expect(await migrateIn(bare, { strategy: "force" })).toMatchObject({
      state: "rolled-back",
      reason: { code: "handover-refused" },
    });
  });

  it("is no case for `failover`: it is known to run", async () => {
    const world = await servingWorld({ fence: true });
    world.source.stopManner = "refused";
    expect(await migrateIn(world, { strategy: "failover" })).toMatchObject({ state: "rolled-back" });
    expect(world.fence.disabled.size).toBe(0);
  });
});

describe("a stop whose answer comes late", () => {
  it("counts for the next attempt, which asks under the same key", async () => {
    const world = await servingWorld();
    const { messages } = world.journal;
    const set = messages.set.bind(messages);
    messages.set = () => messages;
    const { receipt } = world.source;
    let silent = 1;
    world.source.receipt = async (...params) => (silent-- > 0 ? null : receipt(...params));
    const answers = at({ step: "stop", phase: "do", moment: "before", attempt: 2 }, () => {
      messages.set = set;
    });
    const end = await migrateIn(world, { attempts: 2 }, answers);
    expect(end).toEqual({ state: "committed" });
    expect(world.source.effects.stops).toBe(1);
    expectPromises(world, end);
  });
});

describe("a message about an attempt before", () => {
  it("that comes late and says nothing of an end is passed over for the attempt that is asked for", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    const { messages } = world.journal;
    const relents = at({ step: "stop", phase: "do", moment: "before", attempt: 2 }, () => {
      world.source.stopManner = "graceful";
      messages.set = () => messages;
    });
    const end = await migrateIn(world, { attempts: 2 }, relents);
    expect(end).toEqual({ state: "committed" });
    expect(world.records.receipts.map(({ receipt }) => receipt.outcome)).toEqual(["refused", "graceful"]);
  });
});

describe("a source that nobody reaches", () => {
  it("is nobody to answer for where the lease names somebody else", async () => {
    const world = await servingWorld({ fence: true });
    const early = at({ step: "prepare", phase: "do", moment: "after" }, async () => {
      world.source.isAway = true;
      await world.rewriteLease({ holder: "pl-00000000000000000009", state: "stopped" });
    });
    expect(await migrateIn(world, { strategy: "failover" }, early)).toMatchObject({ state: "rolled-back" });
    expect(world.fence.disabled.size).toBe(0);
  });

  it("leaves the operation halted, and one that is back is resumed into serving", async () => {
    const world = await servingWorld();
    expect(await migrateIn(world, {}, leaves(world))).toMatchObject({ state: "halted" });
    world.source.isAway = false;
    decideAt(world, 1, "resume");
    const end = await migrateIn(world, {});
    expect(end).toMatchObject({ state: "rolled-back" });
    expectPromises(world, end);
  });

  it("is fenced by `failover`, whose target serves, and what was left is not in its way", async () => {
    const world = await servingWorld({ fence: true });
    const end = await migrateIn(world, { strategy: "failover" }, leaves(world));
    expect(end).toEqual({ state: "committed" });
    expect(world.fence.proven).toHaveLength(1);
    expect(world.records).toMatchObject({ possibleLoss: true, placement: world.target.placement });
    expect(world.lease()).toMatchObject({ holder: world.target.placement, epoch: 2 });
  });

  it("is fenced by `failover` also when it was away before the operation began", async () => {
    const world = await servingWorld({ fence: true });
    const early = at({ step: "prepare", phase: "do", moment: "after" }, () => {
      world.source.isAway = true;
    });
    expect(await migrateIn(world, { strategy: "failover" }, early)).toEqual({ state: "committed" });
  });

  it("is not passed on by `failover` without a fence", async () => {
    const world = await servingWorld();
    expect(await migrateIn(world, { strategy: "failover" }, leaves(world))).toMatchObject({
      state: "halted",
    });
    expect(world.lease()).toMatchObject({ holder: world.source.placement });
  });

  it("that is there again when its failover is taken back is stopped and started anew, with another key", async () => {
    const world = await servingWorld({ fence: true });
    const back = at({ step: "verify", phase: "do", moment: "before" }, () => {
      world.source.isAway = false;
      throw new Error("the checks fail");
    });
    const both: Faults = {
      async reach(point) {
        await leaves(world).reach(point);
        await back.reach(point);
      },
    };
    const end = await migrateIn(world, { strategy: "failover" }, both);
    expect(end).toMatchObject({ state: "rolled-back" });
    expect(world.source.effects).toMatchObject({ stops: 1, execs: 2 });
    // It wrote beside the target, whose fence kept it from the store.
    expect(world.fence.disabled.has(`${world.source.placement} in epoch 1`)).toBe(true);
    expect(world.lease()).toMatchObject({ holder: world.source.placement, epoch: 3, state: "running" });
  });
});

describe("a person", () => {
  it("decides by `halt` what follows a stop that failed: ask again", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    expect(await migrateIn(world, { strategy: "halt" })).toMatchObject({ state: "halted" });
    world.source.stopManner = "graceful";
    decideAt(world, 1, "resume");
    const end = await migrateIn(world, { strategy: "halt" });
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
  });

  it("decides by `halt` to take it back", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    await migrateIn(world, { strategy: "halt" });
    decideAt(world, 1, "abort");
    const end = await migrateIn(world, { strategy: "halt" });
    expect(end).toMatchObject({ state: "rolled-back" });
    expectPromises(world, end);
  });

  it("answers for a source that is lost, and then the target serves", async () => {
    for (const policy of [{ strategy: "halt" }, { strategy: "give-up" }] as const) {
      const world = await servingWorld();
      expect(await migrateIn(world, policy, leaves(world))).toMatchObject({ state: "halted" });
      decideAt(world, 1, "override");
      expect(await migrateIn(world, policy)).toEqual({ state: "committed" });
      expect(world.records).toMatchObject({ possibleLoss: true, placement: world.target.placement });
      expect(world.source.state).toBe("running");
    }
  });

  it("who overrides has the fence applied all the same where there is one, and passes where it cannot be proven", async () => {
    for (const broken of ["none", "assertOpen", "apply"] as const) {
      const world = await servingWorld({ fence: true });
      await migrateIn(world, {}, leaves(world));
      const isAway = (): Promise<never> => Promise.reject(new Error("the store is away"));
      if (broken !== "none") world.fence[broken] = isAway;
      decideAt(world, 1, "override");
      expect(await migrateIn(world, {})).toEqual({ state: "committed" });
      expect(world.fence.proven).toHaveLength(broken === "none" ? 1 : 0);
    }
  });

  it("cannot override what is known: a source that refuses still runs", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    await migrateIn(world, { strategy: "halt" });
    decideAt(world, 1, "override");
    expect(await migrateIn(world, { strategy: "halt" })).toMatchObject({ state: "halted" });
    expect(world.halts).toHaveLength(2);
    expect(world.lease()).toMatchObject({ holder: world.source.placement, state: "running" });
  });

  it("answers for a target that was lost on the way back", async () => {
    const world = await servingWorld();
    world.target.stopManner = "unknown";
    expect(await migrateIn(world, {}, failsVerify)).toMatchObject({ state: "halted" });
    decideAt(world, 1, "resume");
    expect(await migrateIn(world, {}, failsVerify)).toMatchObject({ state: "halted" });
    expect(world.halts).toHaveLength(2);
    expect(world.source.state).toBe("stopped");
  });

  it("answers for a target that ended, and nobody knows how", async () => {
    const world = await servingWorld();
    world.target.stopManner = "unknown";
    expect(await migrateIn(world, {}, failsVerify)).toMatchObject({ state: "halted" });
    await world.target.die();
    world.target.witnessed = "unknown";
    decideAt(world, 1, "override");
    const end = await migrateIn(world, {}, failsVerify);
    expect(end).toMatchObject({ state: "rolled-back" });
    expectPromises(world, end);
  });

  // No decision led on from there where the storage has no fence.
  it("answers for what a target that did not end well on the way back may still have on its way to the store", async () => {
    const world = await servingWorld();
    world.target.stopManner = "crashed-during-stop";
    expect(await migrateIn(world, {}, failsVerify)).toMatchObject({
      state: "halted",
      reason: { code: "handover-refused" },
    });
    decideAt(world, 1, "resume");
    expect(await migrateIn(world, {}, failsVerify)).toMatchObject({ state: "halted" });
    world.target.witnessed = "running";
    decideAt(world, 2, "override");
    expect(await migrateIn(world, {}, failsVerify)).toMatchObject({ state: "halted" });
    world.target.witnessed = "truth";
    decideAt(world, 3, "override");
    const end = await migrateIn(world, {}, failsVerify);
    expect(end).toMatchObject({ state: "rolled-back" });
    expectPromises(world, end);
  });

  it("resumes what failed after the pivot", async () => {
    const world = await servingWorld();
    const stuck = failing({ step: "retire", phase: "do", moment: "before" });
    expect(await migrateIn(world, {}, stuck)).toMatchObject({ state: "halted" });
    decideAt(world, 1, "resume");
    const end = await migrateIn(world, {});
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
  });

  it("whose decision is none decides nothing", async () => {
    const world = await servingWorld();
    world.source.stopManner = "refused";
    await migrateIn(world, { strategy: "halt" });
    world.journal.messages.set(decisionTopic(1), { kind: "shrug" });
    await expect(migrateIn(world, { strategy: "halt" })).rejects.toThrow(/its decision is not one/);
  });
});

describe("an operation that somebody wants back", () => {
  const steps = ["preflight", "prepare", "stop", "fence", "handOver", "start", "verify"] as const;

  it.each(steps)("is taken back at %s, whatever the strategy", async (step) => {
    for (const strategy of ["give-up", "halt", "failover"] as const) {
      const world = await servingWorld({ fence: true });
      const wants = at({ step, phase: "do", moment: "before" }, () => {
        world.wanted = { code: "aborted", detail: "ada had it taken back" };
      });
      const end = await migrateIn(world, { strategy, attempts: 3 }, wants);
      expect(end).toMatchObject({ state: "rolled-back", reason: { code: "aborted" } });
      expectPromises(world, end);
    }
  });

  it("goes on once it is past the pivot", async () => {
    const world = await servingWorld();
    const wants = at({ step: "retire", phase: "do", moment: "before" }, () => {
      world.wanted = { code: "aborted", detail: "too late" };
    });
    const end = await migrateIn(world, {}, wants);
    expect(end).toEqual({ state: "committed" });
    expectPromises(world, end);
  });
});

describe("a cold migration", () => {
  it("makes its target when the source has stopped, and removes it last on the way back", async () => {
    const world = await servingWorld();
    const order: string[] = [];
    const sees: Faults = {
      reach: async ({ step, phase, moment }) => {
        if (moment === "before") order.push(phase === "do" ? step : `undo ${step}`);
        await failsVerify.reach({ step, phase, moment, attempt: 1 });
      },
    };
    const { end } = await runInWorld({
      saga: migrateCold,
      world,
      openPorts: () => world.ports,
      faults: sees,
    });
    expect(end).toMatchObject({ state: "rolled-back" });
    expectPromises(world, end);
    expect(order.indexOf("prepare")).toBeGreaterThan(order.indexOf("stop"));
    expect(world.target.state).toBe("removed");
  });
});

describe("a target that soaks", () => {
  it("is checked each second until the time is over, and taken back as soon as a check fails", async () => {
    const verify = { method: "POST", path: "/canary", timeoutMs: 1_000, soakMs: 3_000 } as const;
    for (const failsAt of [null, 3]) {
      const world = await servingWorld();
      let checks = 0;
      const check = world.target.verify;
      world.target.verify = async () => {
        checks += 1;
        world.target.verifyFails = checks === failsAt;
        await check();
      };
      const input = { ...usualInput, verify };
      const { end } = await runInWorld({ saga: migrate, world, openPorts: () => world.ports, input });
      expect([checks, end.state]).toEqual(failsAt === null ? [4, "committed"] : [3, "rolled-back"]);
      expectPromises(world, end);
    }
  });
});

describe("a stop that is taken back", () => {
  it("needs no target", async () => {
    const world = await servingWorld();
    world.aim = "stop";
    const ports: SourcePorts & { readonly target?: undefined } = { ...world.ports, target: undefined };
    const fails = failing({ step: "release", phase: "do", moment: "before" });
    const { end } = await runInWorld({ saga: stop, world, openPorts: () => ports, faults: fails });
    expect(end).toMatchObject({ state: "rolled-back" });
    expect(world.source.effects).toMatchObject({ stops: 1, execs: 2 });
    expectPromises(world, end);
  });
});

describe("a receipt that drained", () => {
  it("tells when the clients had left", async () => {
    const world = await servingWorld();
    const marks: object[] = [];
    world.ports.records.mark = async (moments) => void marks.push(moments);
    await migrateIn(world, {});
    const [verified] = world.records.receipts;
    if (verified === undefined) throw new Error("there is a receipt");
    const phases = [{ phase: "drain", result: "done", ms: 1_500.4, detail: null }] as const;
    await keepReceipt(world.ports, { ...verified, receipt: { ...verified.receipt, phases: [...phases] } });
    expect(marks.at(-1)).toMatchObject({ drainedAt: "1970-01-01T00:00:01.500Z" });
  });
});
