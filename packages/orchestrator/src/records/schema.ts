import type {
  ApplicationManifest,
  ClusterManifest,
  DatabaseManifest,
  DowntimeLedger,
  EvidenceClass,
  Outcome,
  FenceRecord,
  ReplicaRecord,
  Finding,
} from "@baton/protocol";
import type {
  Decision,
  Operation,
  PublicKey,
  StepState,
  StopStrategy,
  StorageManifest,
} from "@baton/protocol";
import type { ColumnType, Generated } from "kysely";

/** JSON columns are read as objects and written as text. */
type Json<T> = ColumnType<T, string, string>;
type Moment = ColumnType<Date, Date | undefined, Date>;
type OptionalMoment = ColumnType<Date | null, Date | null | undefined, Date | null>;

export type OperationRowState =
  "open" | "rolling-back" | "past-pivot" | "committed" | "rolled-back" | "halted";
export interface StoredReceipt {
  readonly outcome: Outcome;
  readonly evidenceClass: EvidenceClass;
  readonly jws: string;
}

/** The tables of `migrations/*.sql`, which are the source of truth. */
export interface Schema {
  installation: {
    id: Generated<string>;
    command_key: ColumnType<PublicKey | null, string | null | undefined, string | null>;
  };
  clusters: { name: string; manifest: Json<ClusterManifest>; updated_at: Moment };
  storages: { name: string; manifest: Json<StorageManifest>; updated_at: Moment };
  databases: { name: string; manifest: Json<DatabaseManifest>; updated_at: Moment };
  applications: {
    name: string;
    manifest: Json<ApplicationManifest>;
    epoch: Generated<number>;
    highest_epoch: Generated<number>;
    placement: string | null;
    stopped: Generated<boolean>;
    halted_reason: string | null;
    updated_at: Moment;
  };
  deployments: {
    id: string;
    application: string;
    manifest: Json<ApplicationManifest>;
    storage: Json<StorageManifest>;
    database: ColumnType<DatabaseManifest | null, string | null | undefined, never>;
    created_at: Moment;
  };
  placements: {
    id: string;
    application: string;
    deployment: string;
    cluster: string;
    public_key: ColumnType<PublicKey | null, string | null | undefined, string | null>;
    application_url: string | null;
    created_at: Moment;
    retired_at: OptionalMoment;
  };
  operations: {
    id: string;
    kind: Operation["kind"];
    saga: string | null;
    application: string;
    deployment: string;
    source: string | null;
    target: string | null;
    from_cluster: string | null;
    to_cluster: string | null;
    of_stopped: Generated<boolean>;
    state: Generated<OperationRowState>;
    reason: string | null;
    known_epoch: number;
    epoch_before: number | null;
    epoch_after: number | null;
    receipt: ColumnType<StoredReceipt | null, string | null | undefined, string | null>;
    fence: ColumnType<FenceRecord | null, string | null | undefined, string | null>;
    replica: ColumnType<ReplicaRecord | null, string | null | undefined, string | null>;
    possible_loss: Generated<boolean>;
    strategy: StopStrategy | null;
    cold: Generated<boolean>;
    plan: string | null;
    findings: ColumnType<readonly Finding[] | null, string | null | undefined, string | null>;
    abort_requested: Generated<boolean>;
    halts: Generated<number>;
    halted_from: Exclude<OperationRowState, "committed" | "rolled-back" | "halted"> | null;
    decided_halt: Generated<number>;
    workflow: string | null;
    ledger: Json<DowntimeLedger>;
    started_by: string | null;
    created_at: Moment;
    ended_at: OptionalMoment;
    version: Generated<number>;
    term: Generated<number>;
  };
  steps: {
    operation: string;
    position: number;
    name: string;
    pivot: boolean;
    state: Generated<StepState>;
    started_at: OptionalMoment;
    ms: number | null;
    detail: string | null;
  };
  decisions: {
    id: Generated<string>;
    operation: string;
    kind: Decision["kind"];
    reason: string;
    decided_by: string;
    decided_at: Moment;
  };
  receipts: { key: string; operation: string; placement: string; jws: string; created_at: Moment };
}
