import type { Finding } from "@baton/protocol";
import type { OperationRecords } from "./operation-records.ts";

/** What the operation's preflight found; the newest look counts. */
export const saveFindings = (
  operations: Pick<OperationRecords, "change">,
  operation: string,
  findings: readonly Finding[],
): Promise<void> =>
  operations.change(operation, async (transaction) => {
    await transaction
      .updateTable("operations")
      .set({ findings: JSON.stringify(findings) })
      .where("id", "=", operation)
      .execute();
  });
