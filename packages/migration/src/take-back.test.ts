import { AppError } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { deploy } from "./deploy.saga.ts";
import { failsVerify, migrateIn, runIn, servingWorld } from "./fakes/migrate-in.testsuite.ts";
import { type FakeWorld, createFakeWorld } from "./fakes/fake-world.ts";
import { at, both, expectPromises, failing, runInWorld } from "./fakes/saga.testsuite.ts";
import { noFaults } from "./progress.port.ts";

const third = "pl-00000000000000000009";

describe("a handover that nobody heard of", () => {
  /** The answer to the handover is lost, and so is the write, until `deliverLate`. */
  const losesHandOver = (world: FakeWorld): void => {
    const { lease } = world.ports;
    const apply = lease.apply.bind(lease);
    let isFirst = true;
    world.ports.lease.apply = async (write, signal) => {
      if (!isFirst) return apply(write, signal);
      isFirst = false;
      world.bucket.inject({ kind: "unclear", write: "late" });
      const { key, body, expectedEtag } = write;
      const condition = { kind: "match", etag: expectedEtag ?? "" } as const;
      await world.bucket.open().put({ key, body, condition, timeoutMs: 1_000 });
      throw new Error("the fault did not hit");
    };
  };

  it("is refused by the store when it arrives after the lease was given back", async () => {
    const world = await servingWorld();
    losesHandOver(world);
    expect(await migrateIn(world)).toMatchObject({
      state: "rolled-back",
      reason: { code: "storage-unclear" },
    });
    expect(world.target.effects.burns).toBe(0);
    world.bucket.deliverLate();
    expectPromises(world, { state: "rolled-back", reason: { code: "", detail: "" } });
  });

  it("is burned when it arrives before the first look", async () => {
    const world = await servingWorld();
    losesHandOver(world);
    const arrives = at({ step: "handOver", phase: "undo" }, () => world.bucket.deliverLate());
    expect(await migrateIn(world, arrives)).toMatchObject({ state: "rolled-back" });
    expect(world.target.effects).toMatchObject({ burns: 1, execs: 0 });
    expect(world.lease()?.epoch).toBe(3);
  });

  it("is burned when it arrives between the look and the write that gives back", async () => {
    const world = await servingWorld();
    losesHandOver(world);
    const arrives = at({ step: "stop", phase: "undo" }, () => world.bucket.deliverLate());
    expect(await migrateIn(world, arrives)).toMatchObject({ state: "rolled-back" });
    expect(world.target.effects).toMatchObject({ burns: 1, execs: 0 });
    expect(world.lease()?.epoch).toBe(3);
  });

  it("was planned on a lease that somebody else changed: the source serves again", async () => {
    const world = await servingWorld();
    const changed = at({ step: "handOver", moment: "before" }, () => world.rewriteLease({}));
    expect(await migrateIn(world, changed)).toMatchObject({ reason: { code: "lease-superseded" } });
    expect(world.source.state).toBe("running");
  });
});

describe("a lease that is nobody's of this operation", () => {
  const taken = (world: FakeWorld, step: string) =>
    at({ step, phase: "do", moment: "before" }, () =>
      world.rewriteLease({
        holder: third,
        state: "running",
        grant: null,
        run: { placement: third, instance: "1", counter: 1 },
      }),
    );

  it.each(["handOver", "start", "verify"])("is left alone when it is taken before %s", async (step) => {
    const world = await servingWorld();
    expect(await runIn(world, taken(world, step))).toMatchObject({
      state: "halted",
      reason: { code: "lease-mismatch" },
    });
    expect(world.lease()).toMatchObject({ holder: third, state: "running" });
    expect(world.source.state).toBe("stopped");
  });

  it("keeps the source from being retired", async () => {
    const world = await servingWorld();
    expect(await runIn(world, taken(world, "retire"))).toMatchObject({
      state: "halted",
      reason: { code: "lease-mismatch" },
    });
    expect(world.source.state).toBe("stopped");
  });

  it("halts the way back when it is missing", async () => {
    const world = await servingWorld();
    const removed = at({ step: "fence", moment: "after" }, () => world.removeLease());
    expect(await migrateIn(world, removed)).toMatchObject({
      state: "halted",
      reason: { code: "lease-missing" },
    });
  });
});

describe("a lease that is fenced in the middle of it", () => {
  const fenced = (world: FakeWorld, step: string) =>
    at({ step, phase: "do", moment: "before" }, () => world.rewriteLease({ state: "fenced", grant: null }));

  it("takes the target's grant from it: it never starts, and the source serves in the next epoch", async () => {
    const world = await servingWorld();
    expect(await migrateIn(world, fenced(world, "start"))).toMatchObject({
      state: "rolled-back",
      reason: { code: "grant-refused" },
    });
    expect(world.target.effects.execs).toBe(0);
    expect(world.lease()).toMatchObject({ epoch: 3, state: "running" });
  });

  it("is not committed, though the lease still names the target's run", async () => {
    const world = await servingWorld();
    expect(await migrateIn(world, fenced(world, "verify"))).toMatchObject({
      state: "rolled-back",
      reason: { code: "lease-mismatch" },
    });
    expect(world.target.effects).toMatchObject({ execs: 1, stops: 1 });
  });

  it("does not make up for the target's own proof", async () => {
    const world = await servingWorld();
    world.target.stopManner = "silent";
    expect(await migrateIn(world, fenced(world, "verify"))).toMatchObject({
      state: "halted",
      reason: { code: "stop-unknown" },
    });
    expect(world.source.state).toBe("stopped");
  });

  it("goes on from the source's receipt", async () => {
    const world = await servingWorld();
    expect(await migrateIn(world, fenced(world, "handOver"))).toMatchObject({ state: "rolled-back" });
    const other = await servingWorld();
    expect(await migrateIn(other, fenced(other, "fence"))).toMatchObject({ state: "committed" });
  });
});

describe("a target that is to give up", () => {
  /** Its receipt is not heard the first time. */
  const losesReceipt = (world: FakeWorld): void => {
    const { receipt } = world.target;
    let isFirst = true;
    world.target.receipt = (query, signal) => {
      if (!isFirst) return receipt(query, signal);
      isFirst = false;
      return Promise.reject(new AppError("agent-unreachable", "no answer"));
    };
  };

  it("is judged by its receipt also when the lease says stopped by then", async () => {
    const world = await servingWorld();
    world.target.stopManner = "crashed-during-stop";
    losesReceipt(world);
    expect(await migrateIn(world, failsVerify)).toMatchObject({
      state: "halted",
      reason: { code: "handover-refused" },
    });
    expect(world.lease()?.state).toBe("stopped");
    expect(world.running.size).toBe(0);
  });

  it("is judged by the witness also when it ended by itself", async () => {
    const world = await servingWorld();
    world.target.startFails = true;
    world.target.witnessed = "running";
    expect(await migrateIn(world)).toMatchObject({ state: "halted", reason: { code: "handover-refused" } });
    expect(world.source.state).toBe("stopped");
  });

  it("halts the operation when it is silent", async () => {
    const world = await servingWorld();
    world.target.stopManner = "silent";
    expect(await migrateIn(world, failsVerify)).toMatchObject({
      state: "halted",
      reason: { code: "stop-unknown" },
    });
    expect([...world.running]).toEqual([world.target.placement]);
  });

  it("is stopped, not told to burn, when it does not know whether it used its grant", async () => {
    const world = await servingWorld();
    const outage = at({ step: "start", phase: "do", moment: "before" }, () => world.failWrites(10));
    expect(await migrateIn(world, outage)).toMatchObject({
      state: "rolled-back",
      reason: { code: "storage-unclear" },
    });
    expect(world.target.effects).toMatchObject({ execs: 0, burns: 0 });
  });

  it("is stopped when a late start overtakes the burn", async () => {
    const world = await servingWorld();
    const start = world.target.start;
    const burn = world.target.burn;
    const late: Parameters<typeof start>[] = [];
    world.target.start = (...call) => {
      late.push(call);
      return Promise.reject(new AppError("agent-unreachable", "no answer"));
    };
    world.target.burn = async (...call) => {
      for (const one of late.splice(0)) await start(...one);
      return burn(...call);
    };
    expect(await migrateIn(world)).toMatchObject({
      state: "rolled-back",
      reason: { code: "agent-unreachable" },
    });
    expect(world.target.effects).toMatchObject({ execs: 1, stops: 1, burns: 0 });
  });

  it("burns its grant once when the store does not hear of it at first", async () => {
    const world = await servingWorld();
    const outage = at({ step: "handOver", phase: "undo", moment: "before", attempt: 1 }, () =>
      world.failWrites(5),
    );
    const fails = failing({ step: "handOver", phase: "do", moment: "after" });
    expect(await migrateIn(world, both(fails, outage))).toMatchObject({ state: "rolled-back" });
    expect(world.target.effects.burns).toBe(1);
  });

  // The operation halted past its pivot, and each resumption failed the same way: its lock kept everybody from starting the application again.
  it.each(["before", "after"] as const)(
    "that ends by itself %s the commit is committed: who starts it again is another operation",
    async (moment) => {
      const world = await servingWorld();
      const dies = at({ step: "commit", moment }, () => world.target.die());
      expect(await migrateIn(world, dies)).toEqual({ state: "committed" });
      expect(world.target).toMatchObject({ state: "stopped", died: true });
      expect(world.source.state).toBe("removed");
    },
  );

  it("that started again in its slot before the commit is opened all the same", async () => {
    const world = await servingWorld();
    const restarts = at({ step: "commit", moment: "before" }, async () => {
      world.target.losePower();
      await world.target.restart();
    });
    expect(await migrateIn(world, restarts)).toEqual({ state: "committed" });
    expect(world.target).toMatchObject({ state: "running", clientsLetIn: true });
  });

  it("that does not let clients in and lives halts the operation", async () => {
    const world = await servingWorld();
    world.target.open = () => Promise.reject(new AppError("wrong-state", "not now"));
    expect(await runIn(world, noFaults)).toMatchObject({ state: "halted", reason: { code: "wrong-state" } });
  });

  it("that knows of no run any more halts the operation: nobody knows what it is", async () => {
    const world = await servingWorld();
    const forgets = at({ step: "commit", moment: "before" }, () => {
      world.target.run = null;
    });
    expect(await runIn(world, forgets)).toMatchObject({ state: "halted", reason: { code: "wrong-state" } });
  });

  it("is not removed while the lease says that it runs", async () => {
    const world = createFakeWorld();
    const outage = at({ step: "start", phase: "undo", moment: "before" }, () => world.failWrites(5));
    const course = { saga: deploy, world, openPorts: () => world.ports };
    const { end } = await runInWorld({ ...course, faults: both(failsVerify, outage) });
    expect(end).toMatchObject({ state: "halted", reason: { code: "lease-mismatch" } });
    expect(world.lease()?.state).toBe("running");
    expect(world.target.state).toBe("stopped");
    expect(world.target.effects.removed).toBe(0);
  });
});
