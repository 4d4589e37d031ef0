import { followLease } from "@baton/migration";
import { toAppError } from "@baton/protocol";
import type { OperationPorts } from "../ports/operation-ports.ts";
import type { Database } from "../records/database.ts";
import { lastDecision } from "../records/decisions.ts";
import type { OperationRecords } from "../records/operation-records.ts";
import { saveFollowed } from "../records/save-followed.ts";
import { StaleTerm } from "../records/stale-term.ts";

const followMs = 120_000;

/**
 * Ends an operation whose lease and records contradict each other. It halts and nothing is touched, unless a person had the halted one resumed: then a
 * migration whose records were set back to a backup ends as the lease and both agents say.
 *
 * @returns the state in which it ended.
 */
export async function endContradicted(params: {
  readonly database: Database;
  readonly own: OperationRecords;
  readonly operation: string;
  readonly opened: OperationPorts;
  readonly contradiction: string;
}): Promise<string> {
  const { database, own, operation, opened, contradiction } = params;
  const { kind, application, input } = opened;
  const halt = async (why: string): Promise<string> => {
    await own.end(operation, {
      state: "halted",
      reason: { code: "lease-newer", detail: `${contradiction}; ${why}` },
    });
    return "halted";
  };
  if (kind !== "migrate") return halt("nothing was touched");
  if ((await lastDecision(database, operation, "resume")) === null)
    return halt("nothing was touched; resume it to have it end as the lease and both agents say");
  try {
    const { highest_epoch: above } = await database
      .selectFrom("applications")
      .select("highest_epoch")
      .where("name", "=", application)
      .executeTakeFirstOrThrow();
    const ports = opened.migratePorts();
    const signal = AbortSignal.timeout(followMs);
    const followed = await followLease({ operation, input, ports, above, signal });
    await saveFollowed(own, { operation, application }, followed);
    return followed.end;
  } catch (error) {
    if (error instanceof StaleTerm) throw error;
    return halt(toAppError(error).message);
  }
}
