import { describe, expect, it } from "vitest";
import { type Ending, type Facts, type RunFacts, neverExecuted, noFacts } from "./facts.ts";
import { isForKrake, reasonToWithhold } from "./krake-ending.ts";

const run = { placement: "pl-00000000000000000000", instance: "a", counter: 1 };
const ended = (change: Partial<Ending>, endedBy: RunFacts["endedBy"] = "stop"): RunFacts =>
  ({
    run,
    endedBy,
    end: { ...neverExecuted("boot", "2026-01-01T00:00:00.000Z"), exit: { code: 0, signal: null }, ...change },
  }) as RunFacts;

describe("what is confirmed to a Krake", () => {
  it.each([
    ["a graceful stop", ended({ outcome: "graceful" })],
    ["the application's own end", ended({ outcome: "already-stopped" }, "itself")],
    ["a run that was never executed", ended({ outcome: "already-stopped", exit: null }, "never-executed")],
    ["an agent that never started anything", null],
  ])("is %s", (_, facts) => {
    expect(reasonToWithhold(facts)).toBeNull();
  });

  it.each([
    ["a forced stop", ended({ outcome: "forced" })],
    ["one that crashed", ended({ outcome: "crashed-during-stop" })],
    ["a run that is not proven to be over", { run, end: null, endedBy: null } as RunFacts],
    ["an end of unknown evidence", ended({ outcome: "graceful", evidenceClass: "unknown" })],
    ["an end that nobody saw", ended({ outcome: "already-stopped", exit: null }, "itself")],
    ["what never ended", ended({ outcome: "refused" })],
    ["what is unknown", ended({ outcome: "unknown" })],
  ])("is never %s", (_, facts) => {
    expect(reasonToWithhold(facts)).toMatch(/./);
  });
});

describe("a run", () => {
  const facts = (state: NonNullable<Facts["krake"]>["state"], of: typeof run | null): Facts => ({
    ...noFacts,
    run: ended({}),
    krake: { state, run: of },
  });

  it("belongs to a Krake once its stop was ordered, and the next one does not", () => {
    expect(isForKrake({ ...noFacts, run: ended({}) })).toBe(false);
    expect(isForKrake(facts("asked", null))).toBe(true);
    for (const state of ["pending", "confirmed", "refused", "withheld"] as const) {
      expect(isForKrake(facts(state, run))).toBe(true);
      expect(isForKrake(facts(state, { ...run, counter: 2 }))).toBe(false);
    }
  });
});
