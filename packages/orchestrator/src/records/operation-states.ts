import type { Selectable } from "kysely";
import type { OperationRowState, Schema } from "./schema.ts";

export const lockingStates = [
  "open",
  "rolling-back",
  "past-pivot",
  "halted",
] as const satisfies readonly OperationRowState[];
export const livingStates = [
  "open",
  "rolling-back",
  "past-pivot",
] as const satisfies readonly OperationRowState[];

const courses = { open: "forward", "rolling-back": "back", "past-pivot": "past-pivot" } as const;

/** A halt that came from nowhere can only be tried again. */
export function courseOf({
  state,
  halted_from,
}: Pick<Selectable<Schema["operations"]>, "state" | "halted_from">) {
  if (state === "committed" || state === "rolled-back") return null;
  return courses[state === "halted" ? (halted_from ?? "past-pivot") : state];
}
