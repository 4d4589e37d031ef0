import type { Followed } from "@baton/migration";
import { sql } from "kysely";
import type { OperationRecords } from "./operation-records.ts";
import { livingStates } from "./operation-states.ts";

/** The records follow the lease: the application, its epoch and the operation's end at once, so that no life ever sees the one without the other. */
export async function saveFollowed(
  own: OperationRecords,
  { operation, application }: { readonly operation: string; readonly application: string },
  { end, placement, epoch }: Followed,
): Promise<void> {
  const stopped = false;
  await own.change(operation, async (transaction) => {
    await transaction
      .updateTable("applications")
      .set({ placement, epoch, highest_epoch: epoch, stopped, halted_reason: null, updated_at: new Date() })
      .where("name", "=", application)
      .execute();
    await transaction
      .updateTable("operations")
      .set({
        state: end,
        reason:
          "the records were older than the lease: its end is the one that the lease and both agents tell of",
        epoch_after: epoch,
        ended_at: sql<Date>`coalesce(ended_at, clock_timestamp())`,
      })
      .where("id", "=", operation)
      .where("state", "in", livingStates)
      .execute();
  });
}
