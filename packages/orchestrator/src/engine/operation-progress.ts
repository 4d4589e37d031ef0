import type { Direction, Progress } from "@baton/migration";
import type { OperationRecords } from "../records/operation-records.ts";

const states = {
  forward: "open",
  back: "rolling-back",
  "past-pivot": "past-pivot",
} as const satisfies Record<Direction, string>;

export function createProgress(records: OperationRecords, operation: string): Progress {
  return {
    step: ({ name, state, detail }) => records.setStep(operation, name, state, detail ?? null),
    beginRollback: (reason) => records.beginRollback(operation, reason),
    async interruption() {
      const abort = await records.abortOf(operation);
      return abort === null
        ? null
        : { code: "aborted", detail: `${abort.by} had it taken back: ${abort.reason}` };
    },
    halt: ({ number, reason }) => records.halt(operation, number, reason.detail),
    goOn: (direction) => records.goOn(operation, states[direction]),
    end: (end) => records.end(operation, end),
  };
}
