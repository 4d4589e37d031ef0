import { DBOS, DBOSWorkflowConflictError } from "@dbos-inc/dbos-sdk";
import { currentOwnerXid } from "@dbos-inc/dbos-sdk/internal/context";
import { AppError } from "@baton/protocol";
import { type Kysely, sql } from "kysely";
import type { Database } from "../records/database.ts";
import type { Schema } from "../records/schema.ts";
import { StaleTerm } from "../records/stale-term.ts";
import type { Replica } from "./replica.ts";

/** One run of an operation's workflow, from its begin or takeover to its end or the next takeover. */
export interface Life {
  /** Grows with each life of the operation: records, agents and stores hear only the newest. */
  readonly term: number;
  /**
   * Waits until nobody can have taken over; to be called before every effect outside. @returns the term. @throws StaleTerm when somebody has:
   * this life ends then and takes nothing back.
   */
  readonly admit: () => Promise<number>;
}

/**
 * Grows by itself; the clock only puts it above what agents heard from lives that this database has lost, when it was set back to a backup. A clock
 * that is behind has its commands refused. In seconds, so that it stays small enough.
 */
const nextTerm = sql<number>`greatest(term + 1, extract(epoch from clock_timestamp() - timestamptz '2026-01-01Z')::integer)`;

export interface LifeParams {
  readonly database: Database;
  readonly replica: Pick<Replica, "tenure">;
  readonly operation: string;
}

/** Runs `work` as a life of its own. One that is over ends as DBOS wants it: what the next life records is its result as well. */
export async function live<T>(params: LifeParams, work: (life: Life) => Promise<T>): Promise<T> {
  return endingStale(async () => work(await beginLife(params)));
}

/** Only DBOS's own error leaves a step and a workflow without being recorded. */
export async function endingStale<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StaleTerm) throw new DBOSWorkflowConflictError(DBOS.workflowID ?? "");
    throw error;
  }
}

async function beginLife({ database, replica, operation }: LifeParams): Promise<Life> {
  const workflow = DBOS.workflowID ?? "";
  const owner = currentOwnerXid(workflow);
  if (owner === undefined) throw new Error("a life begins in a workflow");
  let tenure = await replica.tenure();
  const term = await database.transaction().execute(async (transaction) => {
    // Under the workflow's lock: who was paused just here would raise the term over that of its successor.
    await assertOwner(transaction, operation, workflow, owner, "for no key update");
    const row = await transaction
      .updateTable("operations")
      .set({ term: nextTerm })
      .where("id", "=", operation)
      .returning("term")
      .executeTakeFirst();
    if (row === undefined)
      throw new AppError("unknown-operation", `cannot run operation ${operation}: there is no record of it`);
    return row.term;
  });
  return {
    term,
    async admit() {
      const now = await replica.tenure();
      // Within one tenure of the lock nobody could take over. Whoever did has ended our ownership before this tenure began.
      if (now !== tenure) await assertOwner(database, operation, workflow, owner);
      tenure = now;
      return term;
    },
  };
}

/** DBOS writes another owner with every claim of the workflow, and none while it waits for one. */
async function assertOwner(
  database: Kysely<Schema>,
  operation: string,
  workflow: string,
  owner: string,
  lock = "",
): Promise<void> {
  const { rows } = await sql<{ owner_xid: string | null }>`
    select owner_xid from dbos.workflow_status where workflow_uuid = ${workflow} ${sql.raw(lock)}`.execute(
    database,
  );
  if (rows[0]?.owner_xid !== owner) throw new StaleTerm(operation);
}

/** The same port, of which every call is admitted first. */
export function admitted<Port extends object>(port: Port, life: Pick<Life, "admit"> | null): Port {
  if (life === null) return port;
  return new Proxy(port, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== "function") return member;
      return async (...given: unknown[]): Promise<unknown> => {
        await life.admit();
        return Reflect.apply(member, target, given);
      };
    },
  });
}
