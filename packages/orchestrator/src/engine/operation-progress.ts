import type { Progress } from "@baton/migration";
import type { OperationRecords } from "../records/operation-records.ts";

export function createProgress(records: OperationRecords, operation: string): Progress {
  return {
    step: ({ name, state, detail }) => records.setStep(operation, name, state, detail ?? null),
    beginRollback: (reason) => records.beginRollback(operation, reason),
    end: (end) => records.end(operation, end),
  };
}
