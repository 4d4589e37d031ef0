import { createHash } from "node:crypto";
import { canonicalJson } from "@baton/clusters";
import type { PlannedStep } from "@baton/protocol";
import type { SagaFacts } from "../preflight/facts.ts";
import type { DeployInput } from "../ports.ts";
import { intendDeadlineMs } from "../run-step.ts";
import type { Deadline, Saga, Step } from "../saga.ts";

/** A saga's table with the times that this very application may need. */
export const planSteps = (
  { steps }: Pick<Saga<never, never>, "steps">,
  input: DeployInput,
): readonly PlannedStep[] =>
  steps.map((step) => ({
    name: step.name,
    pivot: step.pivot,
    deadlineMs: longestTryMs(step, input),
    undoMs: longestUndoMs(step, input),
  }));

export const describeSaga = (
  table: Pick<Saga<never, never>, "name" | "steps">,
  input: DeployInput,
): SagaFacts => ({
  name: table.name,
  steps: createHash("sha256")
    .update(canonicalJson(planSteps(table, input)))
    .digest("hex"),
});

/** Its phases, one after the other: intend, run, and for a confirmed step the message and its judgement. */
function longestTryMs({ intend, deadlineMs, confirm }: Step, input: DeployInput): number {
  const phaseMs = msOf(deadlineMs, input);
  // Before the step has run there is nothing else in its context that says how long a confirmation may take.
  const confirmMs = confirm === undefined ? 0 : confirm.deadlineMs({ input } as never) + phaseMs;
  return (intend === undefined ? 0 : intendDeadlineMs) + phaseMs + confirmMs;
}

function longestUndoMs({ undo }: Step, input: DeployInput): number | null {
  if (undo === undefined) return null;
  return msOf(undo.deadlineMs, input) * (undo.intend === undefined ? 1 : 2);
}

const msOf = (deadline: Deadline<never>, input: DeployInput): number =>
  typeof deadline === "number" ? deadline : deadline(input as never);
