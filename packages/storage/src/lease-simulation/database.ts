import type { Lease } from "../lease.ts";
import type { LeaseWrite } from "../lease-write.ts";

/** Who had the lease, as it was read or as the receipt says. */
export type Tenure = Pick<Lease, "holder" | "epoch" | "run">;

/** Where an operation stands; every write is in it before it is sent. */
export type Stage =
  | { readonly kind: "look" }
  | { readonly kind: "watch" | "fence" | "refuse credentials" | "plan grant"; readonly from: Tenure }
  | { readonly kind: "write fence"; readonly from: Tenure; readonly write: LeaseWrite }
  | { readonly kind: "write grant"; readonly write: LeaseWrite }
  | { readonly kind: "start"; readonly lease: Lease };

export interface OperationRecord {
  readonly version: number;
  readonly worker: string;
  readonly stage: Stage;
}

/** One row, compared and set: of two orchestrators that work on it one gets on, the other looks again. */
export interface Database {
  readonly record: OperationRecord;
  /** False when somebody else changed it since. */
  save(before: OperationRecord, next: { readonly worker: string; readonly stage: Stage }): boolean;
}

export function createDatabase(worker: string): Database {
  let record: OperationRecord = { version: 0, worker, stage: { kind: "look" } };
  return {
    get record() {
      return record;
    },
    save(before, { worker: by, stage }) {
      if (before.version !== record.version) return false;
      record = { version: before.version + 1, worker: by, stage };
      return true;
    },
  };
}
