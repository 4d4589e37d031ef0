import { sql } from "kysely";
import type { Database } from "./database.ts";

export interface Retention {
  readonly days: number;
  /** So many operations of each application stay, however old. */
  readonly newest: number;
}

const atOnce = 100;

/**
 * Deletes old operations that ended, with their steps and receipts. What is halted stays, and whatever a person decided about; so do deployments,
 * placements with their keys, and the audit trail.
 *
 * @param forget deletes what the engine keeps of them, before they are gone: what fails is tried again the next time. @returns how many
 */
export async function deleteOldOperations(
  database: Database,
  { days, newest }: Retention,
  forget: (operations: readonly string[]) => Promise<void>,
): Promise<number> {
  return database.transaction().execute(async (transaction) => {
    const { rows } = await sql<{ id: string }>`
      select id from operations o
      where state in ('committed', 'rolled-back') and ended_at < now() - make_interval(days => ${days})
        and not exists (select from decisions where operation = o.id)
        and (select count(*) from operations later
             where later.application = o.application and (later.created_at, later.id) > (o.created_at, o.id)) >= ${newest}
      order by created_at limit ${atOnce}
      -- Replicas take turns.
      for update skip locked`.execute(transaction);
    const ids = rows.map(({ id }) => id);
    if (ids.length === 0) return 0;
    await forget(ids);
    await transaction.deleteFrom("steps").where("operation", "in", ids).execute();
    await transaction.deleteFrom("receipts").where("operation", "in", ids).execute();
    await transaction.deleteFrom("operations").where("id", "in", ids).execute();
    return ids.length;
  });
}
