import { AppError, type Decision, type DecisionRequest } from "@baton/protocol";
import { sql } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";
import type { Selectable } from "kysely";

/** To whom a decision goes. */
export interface RecordedDecision {
  readonly decision: Decision;
  /** The halt that it is about; null: it is an abort of an operation that goes forward. */
  readonly halt: number | null;
}

/**
 * Writes down what a person decided, in the same row that commit and rollback compare-and-set (safety rule 15): an abort that was taken here is
 * never overtaken by the pivot. A halt is decided once.
 *
 * @throws `unknown-operation`, `past-pivot`, `not-halted`
 */
export async function recordDecision(
  database: Database,
  operation: string,
  { kind, reason }: DecisionRequest,
  by: string,
): Promise<RecordedDecision> {
  return database.transaction().execute(async (transaction) => {
    const row = await transaction
      .selectFrom("operations")
      .selectAll()
      .where("id", "=", operation)
      .forUpdate()
      .executeTakeFirst();
    if (row === undefined)
      throw new AppError(
        "unknown-operation",
        `cannot ${kind} ${operation}: there is none of this id; see "baton operation list"`,
      );
    assertDecidable(row, kind);
    const isHalted = row.state === "halted";
    await transaction
      .updateTable("operations")
      .set({
        version: sql<number>`version + 1`,
        // Whoever watches goes on watching.
        ...(isHalted ? { decided_halt: row.halts, ended_at: null } : { abort_requested: true }),
      })
      .where("id", "=", operation)
      .execute();
    const { decided_at } = await transaction
      .insertInto("decisions")
      .values({ operation, kind, reason, decided_by: by })
      .returning("decided_at")
      .executeTakeFirstOrThrow();
    const decision = { kind, reason, by, at: decided_at.toISOString() };
    return { decision, halt: isHalted ? row.halts : null };
  });
}

function assertDecidable(row: Selectable<Schema["operations"]>, kind: DecisionRequest["kind"]): void {
  const { id, state, halted_from: from } = row;
  if (state === "past-pivot" || (kind === "abort" && (state === "committed" || from === "past-pivot")))
    throw new AppError(
      "past-pivot",
      `cannot ${kind} ${id}: it is past its point of no return, and goes only forward`,
    );
  if (state === "halted") {
    if (kind === "override" && from === "past-pivot")
      throw new AppError("not-halted", `cannot override ${id}: it lacks no evidence; resume it`);
    if (kind === "abort" && from === "rolling-back")
      throw new AppError(
        "not-halted",
        `cannot abort ${id}: it is being taken back already; resume or override it`,
      );
    if (row.halts > 0 && row.decided_halt === row.halts)
      throw new AppError(
        "not-halted",
        `cannot ${kind} ${id}: its halt was decided already; see how it goes on`,
      );
    return;
  }
  if (kind !== "abort")
    throw new AppError("not-halted", `cannot ${kind} ${id}: it is ${state}, and waits for no decision`);
  if (state !== "open")
    throw new AppError(
      "not-halted",
      `cannot abort ${id}: it ${state === "rolling-back" ? "is being taken back already" : `was ${state}`}`,
    );
  if (row.abort_requested) throw new AppError("not-halted", `cannot abort ${id}: somebody did so already`);
}

/** The last decision of its kind. */
export async function lastDecision(
  database: Database,
  operation: string,
  kind?: Decision["kind"],
): Promise<Decision | null> {
  let query = database.selectFrom("decisions").selectAll().where("operation", "=", operation);
  if (kind !== undefined) query = query.where("kind", "=", kind);
  const row = await query.orderBy("id", "desc").limit(1).executeTakeFirst();
  if (row === undefined) return null;
  return { kind: row.kind, reason: row.reason, by: row.decided_by, at: row.decided_at.toISOString() };
}
