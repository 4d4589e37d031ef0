import type { Operation } from "@baton/protocol";
import { oneLine, stamp } from "./text.ts";

/** Who decided what about the operation; and, while it waits for somebody to, where to read what can be decided. */
export function renderDecisions({
  id,
  state,
  decisions,
}: Pick<Operation, "id" | "state" | "decisions">): readonly string[] {
  const made = decisions.map(
    ({ kind, by, at, reason }) => `  ${kind} by ${oneLine(by)}, ${stamp(at)}: ${oneLine(reason)}`,
  );
  return state === "halted"
    ? [...made, `  it waits for a decision: see \`baton operation explain ${id}\``]
    : made;
}
