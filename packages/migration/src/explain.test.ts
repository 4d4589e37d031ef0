import type { Operation } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { explain } from "./explain.ts";
import { input } from "./fakes/fake-world.ts";
import { migrate } from "./migrate.saga.ts";
import { answerReserveMs, patientMs, stopBudgetMs } from "./stop-times.ts";

const at = "2026-01-01T00:00:00.000Z";
const after = (ms: number): string => new Date(Date.parse(at) + ms).toISOString();

function operation(
  changes: Partial<Operation> = {},
  running?: { name: string; state: "running" | "undoing" },
): Operation {
  const steps = migrate.steps.map(({ name, pivot }) => ({
    name,
    pivot,
    state: name === running?.name ? running.state : ("pending" as const),
    startedAt: name === running?.name ? at : null,
    ms: null,
    detail: null,
  }));
  const rest = {
    id: "op-00000000000000000000",
    state: "open",
    course: "forward",
    reason: null,
    endedAt: null,
  };
  return { ...rest, steps, ...changes } as Operation;
}

const told = (
  changes: Partial<Operation>,
  running?: { name: string; state: "running" | "undoing" },
  stop = input.stop,
) => explain(operation(changes, running), migrate, { ...input, stop });
const commands = (changes: Partial<Operation>): readonly (string | undefined)[] =>
  told(changes).actions.map(({ command }) => command.split(" ")[2]);

describe("an operation that runs", () => {
  it("waits for its step until the step's deadline, and says what follows", () => {
    expect(told({}, { name: "prepare", state: "running" })).toMatchObject({
      waitsFor: "the target's agent to be up, held, with the bucket in sight",
      since: at,
      until: after(60_000),
      next: "then stop; otherwise everything is taken back",
    });
    expect(told({}, { name: "start", state: "running" })).toMatchObject({ until: after(patientMs(input)) });
    const other = {
      steps: migrate.steps.map((step) => (step.name === "verify" ? { ...step, name: "taste" } : step)),
    };
    const tasting = operation();
    const steps = tasting.steps.map((step) =>
      step.name === "verify" ? { ...step, name: "taste", state: "running" as const } : step,
    );
    expect(explain({ ...tasting, steps }, other, input)).toMatchObject({ waitsFor: "taste", until: null });
    expect(told({ course: "past-pivot" }, { name: "retire", state: "running" })).toMatchObject({
      next: "the operation is committed; otherwise it is tried again, and after that the operation halts",
    });
  });

  it("waits for a stop as long as the agent and its answer may take, and then does what the strategy says", () => {
    const until = after(stopBudgetMs(input) + answerReserveMs);
    for (const [strategy, words] of [
      ["give-up", "the stop is withdrawn"],
      ["force", "the stop is withdrawn"],
      ["halt", "a person decides"],
      ["failover", "is fenced"],
    ] as const) {
      const said = told({}, { name: "stop", state: "running" }, { ...input.stop, strategy });
      expect(said).toMatchObject({ until, next: expect.stringContaining(words) as string });
    }
  });

  it("that goes back has no deadline that a person could wait for, and one between two steps waits for its engine", () => {
    expect(told({ course: "back" }, { name: "stop", state: "undoing" })).toMatchObject({
      waitsFor: "the undo of stop",
      until: null,
    });
    expect(told({})).toMatchObject({ waitsFor: "its engine to go on", since: null });
  });
});

describe("what can be done", () => {
  it("is to abort what goes forward, and nothing of what goes back or is past its pivot", () => {
    expect(commands({ course: "forward" })).toEqual(["abort"]);
    expect(commands({ course: "back" })).toEqual([]);
    expect(commands({ course: "past-pivot" })).toEqual([]);
  });

  it("of a halted one depends on where it was going", () => {
    const halted = { state: "halted", endedAt: at } as const;
    expect(commands({ ...halted, course: "forward" })).toEqual(["resume", "abort", "override"]);
    expect(commands({ ...halted, course: "back" })).toEqual(["resume", "override"]);
    expect(commands({ ...halted, course: "past-pivot" })).toEqual(["resume"]);
    expect(told({ ...halted, course: "back", reason: "no receipt" })).toMatchObject({
      waitsFor: "a person's decision",
      until: null,
      next: expect.stringContaining("no receipt") as string,
    });
    expect(told({ ...halted, course: "back" }).next).toContain("no reason was recorded");
  });

  it("of one that has ended is nothing", () => {
    expect(told({ state: "committed", course: null })).toMatchObject({ waitsFor: null, actions: [] });
    const back = { state: "rolled-back", course: null } as const;
    expect(told({ ...back, reason: "too slow" }).next).toBe("nothing: it was taken back: too slow");
    expect(told(back).next).toContain("no reason was recorded");
  });
});
