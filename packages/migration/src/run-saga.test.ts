import { usualStopPolicy } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import type { Engine } from "./engine.port.ts";
import { createJournal, createMemoryEngine } from "./fakes/memory-engine.ts";
import { failing } from "./fakes/saga.testsuite.ts";
import { migrate } from "./migrate.saga.ts";
import { type Progress, noFaults } from "./progress.port.ts";
import { runSaga } from "./run-saga.ts";
import { saga } from "./saga.ts";

const killed = new Promise<never>(() => undefined);
const openEngine = (): Engine =>
  createMemoryEngine({ journal: createJournal(), crashAt: () => null, killed });

const progress: Progress = {
  step: () => Promise.resolve(),
  beginRollback: () => Promise.resolve("rolling-back"),
  interruption: () => Promise.resolve(null),
  halt: () => Promise.resolve(),
  goOn: () => Promise.resolve(),
  end: () => Promise.resolve(),
};

const undone: string[] = [];
const twoSteps = saga<null, null>("two-steps")
  .step("first", () => Promise.resolve(1), {
    deadlineMs: 1_000,
    undo: { run: async () => void undone.push("first"), deadlineMs: 1_000 },
  })
  .pivot("second", ({ done }) => Promise.resolve(done.first), { deadlineMs: 1_000 });
const params = { saga: twoSteps, operation: "op", input: null, ports: null, faults: noFaults };

describe("the interpreter of sagas", () => {
  it("records the end as soon as the records answer again", async () => {
    let refusals = 2;
    const ends: string[] = [];
    const end: Progress["end"] = async ({ state }) => {
      if (refusals-- > 0) throw new Error("no answer");
      ends.push(state);
    };
    const result = await runSaga({ ...params, engine: openEngine(), progress: { ...progress, end } });
    expect(result).toEqual({ state: "committed" });
    expect(ends).toEqual(["committed"]);
  });

  it("fails, and leaves the operation to the sweep, when the end cannot be recorded", async () => {
    const pauses: number[] = [];
    const engine: Engine = { ...openEngine(), sleep: async (_, ms) => void pauses.push(ms) };
    const end = () => Promise.reject(new Error("no answer"));
    await expect(runSaga({ ...params, engine, progress: { ...progress, end } })).rejects.toThrow(
      /^cannot record end/,
    );
    expect(pauses).toEqual([250, 500, 1_000, 2_000, 4_000]);
  });

  it("takes a step back that ran, but of which nothing could be told", async () => {
    undone.length = 0;
    const step: Progress["step"] = ({ state }) =>
      state === "running" ? Promise.reject(new Error("no answer")) : Promise.resolve();
    const result = await runSaga({ ...params, engine: openEngine(), progress: { ...progress, step } });
    expect(result).toMatchObject({ state: "rolled-back", reason: { code: "internal" } });
    expect(undone).toEqual(["first"]);
  });

  it("goes on when the pivot turns out to have happened, and takes nothing back", async () => {
    undone.length = 0;
    const committed: Progress = { ...progress, beginRollback: () => Promise.resolve("committed") };
    const faults = failing({ step: "second", moment: "after", attempt: 1 });
    const result = await runSaga({ ...params, engine: openEngine(), progress: committed, faults });
    expect(result).toEqual({ state: "committed" });
    expect(undone).toEqual([]);
  });

  it("tries an undo again whose failure has a code of another version", async () => {
    undone.length = 0;
    const engine = openEngine();
    const step: Engine["step"] = (name, deadlineMs, work) =>
      name === "first.undo#1"
        ? Promise.resolve({ ok: false, error: { code: "from-another-version", detail: "?" } })
        : engine.step(name, deadlineMs, work);
    const faults = failing({ step: "second", moment: "before" });
    const result = await runSaga({ ...params, engine: { ...engine, step }, progress, faults });
    expect(result.state).toBe("rolled-back");
    expect(undone).toEqual(["first"]);
  });
});

describe("the deadlines of a migration", () => {
  const hour = 3_600_000;
  const input = {
    application: "ledger",
    graceMs: hour,
    readyTimeoutMs: hour,
    verify: { method: "POST", path: "/canary", timeoutMs: 600_000 },
    settleMs: 600_000,
    replicaMs: 900_000,
    stop: usualStopPolicy,
    knownEpoch: 0,
  } as const;
  const msOf = (deadlineMs: unknown): number =>
    typeof deadlineMs === "function"
      ? (deadlineMs as (given: typeof input) => number)(input)
      : Number(deadlineMs);
  const step = (name: string) => migrate.steps.find((one) => one.name === name);

  it.each([
    ["fence", input.settleMs + input.replicaMs],
    ["start", input.readyTimeoutMs],
    ["verify", input.verify.timeoutMs],
  ])("leave %s the time that the settings allow", (name, neededMs) => {
    expect(msOf(step(name)?.deadlineMs)).toBeGreaterThan(neededMs);
  });

  it.each([
    ["start", input.graceMs],
    ["handOver", input.graceMs],
    ["stop", input.settleMs + input.replicaMs + input.readyTimeoutMs],
    ["stop", 2 * input.graceMs],
  ])("leave the undo of %s the time that the settings allow", (name, neededMs) => {
    expect(msOf(step(name)?.undo?.deadlineMs)).toBeGreaterThan(neededMs);
  });
});
