import { type AgentState, AppError } from "@baton/protocol";

export type AgentEvent =
  "start" | "startRefused" | "ready" | "stop" | "exit" | "gone" | "died" | "stillRunning" | "unproven";

/** A place in the life of the agent; `startRefused` goes back to where the start came from. */
type Target = AgentState | "before";

const transitions: Readonly<Record<AgentState, Readonly<Partial<Record<AgentEvent, Target>>>>> = {
  held: { start: "starting" },
  starting: {
    startRefused: "before",
    ready: "running",
    stop: "stopping",
    exit: "verifying",
    died: "crashed",
  },
  running: { stop: "stopping", exit: "verifying" },
  // `exit` is the direct child's; `gone` and `died` are the whole tree's, `stillRunning` and `unproven` its contrary.
  stopping: {
    exit: "verifying",
    gone: "stopped",
    died: "crashed",
    stillRunning: "running",
    unproven: "unknown",
  },
  verifying: { stop: "stopping", gone: "stopped", died: "crashed", unproven: "unknown" },
  stopped: { start: "starting" },
  crashed: { start: "starting" },
  unknown: { stop: "stopping", died: "crashed" },
  // Written by no one in `run` mode: a refused stop is told by its receipt, and the application runs on.
  refused: {},
};

export interface StateMachine {
  readonly state: AgentState;
  /** @throws AppError `internal` for an event that cannot happen in this state */
  send(event: AgentEvent): void;
}

export function createStateMachine(initial: AgentState): StateMachine {
  let state = initial;
  let before = initial;
  return {
    get state() {
      return state;
    },
    send(event) {
      const target = transitions[state][event];
      if (target === undefined)
        throw new AppError(
          "internal",
          `cannot take "${event}" in state "${state}": the state table has no such line`,
        );
      const next = target === "before" ? before : target;
      before = state;
      state = next;
    },
  };
}
