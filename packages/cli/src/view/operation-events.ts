import type { Operation, StepRecord } from "@baton/protocol";
import { elapsedMs, stepWords, titleOf } from "./operation-lines.ts";
import { formatMs, oneLine } from "./text.ts";

const isForwardEnd = ({ state }: StepRecord): boolean => state === "done" || state === "failed";
const isUndoEnd = ({ state }: StepRecord): boolean => state === "undone" || state === "undo-failed";

/**
 * For logs: what has ended between two records of an operation, one line each, in the order in which it happened. Without a record
 * before it begins with the title. Lines are whole, not cut.
 */
export function describeChange(before: Operation | null, operation: Operation): readonly string[] {
  const isNew = (step: StepRecord, position: number): boolean =>
    before?.steps[position]?.state !== step.state;
  const news = operation.steps.filter(isNew);
  const lines = [
    ...news.filter(isForwardEnd).map(describeStep),
    // Steps are taken back from the last to the first.
    ...news.filter(isUndoEnd).toReversed().map(describeStep),
  ];
  if (before === null) lines.unshift(`${titleOf(operation)}  ${operation.id}`);
  if (operation.reason !== null && before !== null && before.reason === null && operation.state === "open")
    lines.push(`taking back: ${oneLine(operation.reason)}`);
  if (operation.state !== "open" && before?.state !== operation.state) lines.push(describeEnd(operation));
  return lines;
}

function describeStep(step: StepRecord): string {
  const how = stepWords[step.state] ?? step.state;
  const took = isForwardEnd(step) && step.ms !== null ? ` after ${formatMs(step.ms)}` : "";
  const pivot = step.pivot ? " (point of no return)" : "";
  const why = step.detail === null ? "" : `: ${oneLine(step.detail)}`;
  return `${step.name}: ${how}${took}${pivot}${why}`;
}

/** "rolled back after 4.21 s: <why>"; for an operation that has ended. */
function describeEnd(operation: Operation): string {
  const took = formatMs(elapsedMs(operation, Date.parse(operation.endedAt ?? operation.createdAt)));
  const why = operation.reason === null ? "" : `: ${oneLine(operation.reason)}`;
  return `${operation.state.replace("-", " ")} after ${took}${why}`;
}
