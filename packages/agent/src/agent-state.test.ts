import fc from "fast-check";
import { type AgentState, type Check, agentStatusSchema } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { type AgentEvent, createStateMachine } from "./agent-state.ts";
import { type StopEvidence, isStopped } from "./judge-ending.ts";

const complete: StopEvidence = { treeGone: true, checks: [] };
const states = agentStatusSchema.entries.state.options as readonly AgentState[];

const checks = fc.array(
  fc.record({
    check: fc.constantFrom<Check["check"]>("ports", "files", "sockets", "marker", "flush", "export"),
    state: fc.constantFrom<Check["state"]>("passed", "failed", "unknown"),
    detail: fc.constant<string[]>([]),
  }),
  { maxLength: 3 },
);
const evidence: fc.Arbitrary<StopEvidence> = fc.record({ treeGone: fc.boolean(), checks });
const plain = fc.constantFrom<Exclude<AgentEvent, "gone" | "died">>(
  "start",
  "startRefused",
  "ready",
  "stop",
  "drained",
  "quiesced",
  "exit",
  "refusedServing",
  "refusedHeld",
  "unproven",
  "open",
);

describe("the state machine", () => {
  it("goes from held to stopped through every phase, and back to running", () => {
    const machine = createStateMachine("held");
    const seen = (["start", "ready", "stop", "drained", "quiesced", "exit"] as const).map((event) => {
      machine.send(event);
      return machine.state;
    });
    machine.end("gone", complete);
    seen.push(machine.state);
    machine.send("start");
    machine.send("ready");
    expect(seen).toEqual([
      "starting",
      "running",
      "draining",
      "quiescing",
      "stopping",
      "verifying",
      "stopped",
    ]);
    expect(machine.state).toBe("running");
  });

  it("goes back to where a refused start came from", () => {
    for (const state of ["held", "stopped", "crashed"] as const) {
      const machine = createStateMachine(state);
      machine.send("start");
      machine.send("startRefused");
      expect(machine.state).toBe(state);
    }
  });

  it("keeps clients out after a refused stop where the hook says so, until somebody opens", () => {
    const machine = createStateMachine("running");
    for (const event of ["stop", "drained", "refusedHeld"] as const) machine.send(event);
    expect(machine.state).toBe("refused");
    machine.send("open");
    expect(machine.state).toBe("running");
  });

  it("refuses an event that cannot happen and stays where it is", () => {
    const machine = createStateMachine("unknown");
    expect(() => machine.send("start")).toThrow(/no such line/);
    expect(machine.state).toBe("unknown");
  });

  it("never reaches stopped or crashed without complete evidence, whatever happens in whatever order", () => {
    const event = fc.oneof(
      { weight: 4, arbitrary: plain.map((name) => ({ name })) },
      {
        weight: 2,
        arbitrary: fc.record({ name: fc.constantFrom("gone" as const, "died" as const), evidence }),
      },
    );
    fc.assert(
      fc.property(fc.constantFrom(...states), fc.array(event, { maxLength: 60 }), (initial, events) => {
        const machine = createStateMachine(initial);
        for (const each of events) {
          const before = machine.state;
          try {
            if ("evidence" in each) machine.end(each.name, each.evidence);
            else machine.send(each.name);
          } catch {
            expect(machine.state).toBe(before);
            continue;
          }
          const isOver = machine.state === "stopped" || machine.state === "crashed";
          const came = isOver && before !== machine.state;
          // A start that was refused goes back to where it was: nothing ran in between.
          if (came && each.name !== "startRefused")
            expect("evidence" in each && isStopped(each.evidence)).toBe(true);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it("has a way out of every state that a stop passes through, by what the end of its deadline sends", () => {
    for (const state of ["draining", "quiescing", "stopping", "verifying"] as const)
      expect(createStateMachine(state).can("unproven")).toBe(true);
  });
});
