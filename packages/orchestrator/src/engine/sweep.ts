import type { Logger } from "pino";
import type { Database } from "../records/database.ts";
import { lastDecision } from "../records/decisions.ts";
import type { OperationRecords } from "../records/operation-records.ts";
import { lockingStates } from "../records/operation-states.ts";
import { isKnown, whyUnknown } from "../records/saga-tables.ts";
import type { OperationEngine } from "./operation-engine.ts";

export interface SweepParams {
  readonly database: Database;
  readonly operations: OperationRecords;
  readonly engine: OperationEngine;
  readonly log: Logger;
  /** Operations of which it was said that they are left alone; kept from sweep to sweep. */
  readonly leftAlone: Set<string>;
}

/**
 * Sees to it that every operation ends, and that what was decided about a halted one reaches it: one whose workflow never began is started, one whose workflow is dead is halted and keeps the
 * application's lock (safety rule 15). One whose table this version does not know is left alone, and that is said.
 */
export async function sweep({ database, operations, engine, log, leftAlone }: SweepParams): Promise<void> {
  const decided = await database
    .selectFrom("operations")
    .select(["id", "halts"])
    .where("state", "=", "halted")
    .where("halts", ">", 0)
    .whereRef("decided_halt", "=", "halts")
    .execute();
  for (const { id, halts: halt } of decided) {
    const decision = await lastDecision(database, id);
    if (decision !== null) await engine.decide(id, { decision, halt });
  }
  const open = await database
    .selectFrom("operations")
    .select(["id", "kind", "cold", "of_stopped", "saga", "state"])
    .where("state", "in", lockingStates)
    .execute();
  for (const row of open.filter((each) => !isKnown(each) && !leftAlone.has(each.id))) {
    leftAlone.add(row.id);
    log.error({ operation: row.id, saga: row.saga }, `the operation is left alone: ${whyUnknown(row)}`);
  }
  await engine.claim();
  const ours = open.filter((row) => row.state !== "halted" && isKnown(row));
  for (const { operation, state, why } of await engine.survey(ours.map(({ id }) => id))) {
    if (state === "missing") await engine.start(operation);
    if (state !== "dead") continue;
    log.error({ operation, why }, "the operation's workflow is dead: halted");
    const detail = `its workflow ended as ${why} before the operation did`;
    // Does nothing where the operation ended between the two looks.
    await operations.end(operation, { state: "halted", reason: { code: "internal", detail } });
  }
}
