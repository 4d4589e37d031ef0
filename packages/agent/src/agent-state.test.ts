import { describe, expect, it } from "vitest";
import { type AgentEvent, createStateMachine } from "./agent-state.ts";

describe("the state machine", () => {
  it("goes from held to stopped and back to running", () => {
    const machine = createStateMachine("held");
    const events: AgentEvent[] = ["start", "ready", "stop", "exit", "gone", "start", "ready"];
    const states = events.map((event) => {
      machine.send(event);
      return machine.state;
    });
    expect(states).toEqual([
      "starting",
      "running",
      "stopping",
      "verifying",
      "stopped",
      "starting",
      "running",
    ]);
  });

  it("goes back to where a refused start came from", () => {
    for (const state of ["held", "stopped", "crashed"] as const) {
      const machine = createStateMachine(state);
      machine.send("start");
      machine.send("startRefused");
      expect(machine.state).toBe(state);
    }
  });

  it("refuses an event that cannot happen and stays where it is", () => {
    const machine = createStateMachine("unknown");
    expect(() => machine.send("start")).toThrow(/no such line/);
    expect(machine.state).toBe("unknown");
  });
});
