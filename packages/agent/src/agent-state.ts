import { type AgentState, AppError } from "@baton/protocol";
import { type StopEvidence, isStopped } from "./judge-ending.ts";

/** Events that say that nothing of the run is left; they come with what proves it. */
export type EndEvent = "gone" | "died";
export type AgentEvent =
  | "start"
  | "startRefused"
  | "ready"
  | "stop"
  | "drained"
  | "quiesced"
  | "exit"
  | "refusedServing"
  | "refusedHeld"
  | "unproven"
  | "open"
  | EndEvent;

/** A place in the life of the agent; `before` goes back to where the start came from. */
type Target = AgentState | "before";
type Line = Readonly<Partial<Record<AgentEvent, Target>>>;

/**
 * `exit` is the direct child's; `gone` (after a stop) and `died` (by itself) are the whole tree's; `refusedServing` and `refusedHeld` say that it
 * certainly lives on; `unproven` that neither is certain. A stop of what never became ready has nobody to drain and nothing to quiesce.
 */
const transitions: Readonly<Record<AgentState, Line>> = {
  held: { start: "starting" },
  starting: {
    startRefused: "before",
    ready: "running",
    stop: "stopping",
    exit: "verifying",
    died: "crashed",
  },
  running: { stop: "draining", exit: "verifying" },
  draining: { drained: "quiescing", exit: "verifying", unproven: "unknown" },
  quiescing: {
    quiesced: "stopping",
    exit: "verifying",
    refusedServing: "running",
    refusedHeld: "refused",
    unproven: "unknown",
  },
  stopping: {
    exit: "verifying",
    gone: "stopped",
    died: "crashed",
    refusedServing: "running",
    refusedHeld: "refused",
    unproven: "unknown",
  },
  verifying: { stop: "stopping", gone: "stopped", died: "crashed", unproven: "unknown" },
  stopped: { start: "starting" },
  crashed: { start: "starting" },
  unknown: { stop: "stopping", gone: "stopped", died: "crashed" },
  refused: { stop: "draining", open: "running", exit: "verifying" },
};

export interface StateMachine {
  readonly state: AgentState;
  /** @throws AppError `internal` for an event that cannot happen in this state */
  send(event: Exclude<AgentEvent, EndEvent>): void;
  /** @throws AppError `internal` also when the evidence does not show that nothing is left */
  end(event: EndEvent, evidence: StopEvidence): void;
  can(event: AgentEvent): boolean;
}

export function createStateMachine(initial: AgentState): StateMachine {
  let state = initial;
  let before = initial;
  const take = (event: AgentEvent): void => {
    const target = transitions[state][event];
    if (target === undefined)
      throw new AppError(
        "internal",
        `cannot take "${event}" in state "${state}": the state table has no such line`,
      );
    const next = target === "before" ? before : target;
    before = state;
    state = next;
  };
  return {
    get state() {
      return state;
    },
    can: (event) => transitions[state][event] !== undefined,
    send: take,
    end(event, evidence) {
      if (!isStopped(evidence))
        throw new AppError("internal", `cannot take "${event}": the evidence does not show that all is gone`);
      take(event);
    },
  };
}
