import type { Logger } from "pino";
import type { Database } from "../records/database.ts";
import { lastDecision } from "../records/decisions.ts";
import type { OperationRecords } from "../records/operation-records.ts";
import { livingStates } from "../records/operation-states.ts";
import type { OperationEngine } from "./operation-engine.ts";

export interface SweepParams {
  readonly database: Database;
  readonly operations: OperationRecords;
  readonly engine: OperationEngine;
  readonly log: Logger;
}

/**
 * Sees to it that every operation ends, and that what was decided about a halted one reaches it: one whose workflow never began is started, one whose workflow is dead is halted and keeps the
 * application's lock (safety rule 15).
 */
export async function sweep({ database, operations, engine, log }: SweepParams): Promise<void> {
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
    .select("id")
    .where("state", "in", livingStates)
    .execute();
  for (const { operation, state, why } of await engine.survey(open.map(({ id }) => id))) {
    if (state === "missing") await engine.start(operation);
    if (state !== "dead") continue;
    log.error({ operation, why }, "the operation's workflow is dead: halted");
    const detail = `its workflow ended as ${why} before the operation did`;
    // Does nothing where the operation ended between the two looks.
    await operations.end(operation, { state: "halted", reason: { code: "internal", detail } });
  }
}
