import type {
  AgentStatus,
  ApplicationManifest,
  ClusterManifest,
  DatabaseManifest,
  StopStrategy,
  StorageManifest,
} from "@baton/protocol";
import type { ClusterCapabilities, ClusterRoom, ClusterSurvey, Witness } from "@baton/clusters";
import type { Lease, ProbeResult } from "@baton/storage";

/** A fact, or why it could not be seen: then it is never taken for fine. */
export type Seen<T> =
  { readonly known: true; readonly value: T } | { readonly known: false; readonly why: string };

/** Everything that a preflight looks at, gathered in one go. No secrets. */
export interface PreflightFacts {
  readonly request: RequestFacts;
  readonly saga: SagaFacts;
  readonly records: RecordedFacts;
  /** The application's placement; null where it has none. */
  readonly source: SourceFacts | null;
  /** Where it shall run; null where nothing is started. */
  readonly target: TargetFacts | null;
  readonly storage: StorageFacts;
  /** Null: there is no fence of all that the application writes to. */
  readonly fence: FenceFacts | null;
  /** Null: the application has none. */
  readonly database: DatabaseFacts | null;
  /** Of everybody who is told where the application is served. */
  readonly traffic: readonly TrafficFacts[];
  readonly orchestrator: OrchestratorFacts;
}

export interface RequestFacts {
  readonly kind: string;
  readonly application: string;
  readonly to: string | null;
  /** Null where nothing is stopped. */
  readonly strategy: StopStrategy | null;
  readonly cold: boolean;
  /** The hash of the plan that it shall go by; null for none. */
  readonly plan: string | null;
}

/** Which table the operation would be read from. */
export interface SagaFacts {
  readonly name: string;
  /** A digest over the steps. */
  readonly steps: string;
}

export interface RecordedFacts {
  readonly owner: string;
  /** Of the placement that serves; 0 before the first one. */
  readonly epoch: number;
  /** No lease may have a higher one. */
  readonly highestEpoch: number;
  /** Of the lease when it was adopted last, its writer shut out with proof; 0 when it never was. */
  readonly adoptedEpoch: number;
  readonly haltedReason: string | null;
  /** Another operation that holds the application, in words. */
  readonly otherOperation: string | null;
  /** What the operation goes by: the deployment's snapshot where there is one. */
  readonly manifest: ApplicationManifest;
  readonly storage: StorageManifest;
  /** Null: the application has none. */
  readonly database: DatabaseManifest | null;
  /** As people declare it now. Null: no longer. */
  readonly declared: {
    readonly manifest: ApplicationManifest | null;
    readonly storage: StorageManifest | null;
    readonly database: DatabaseManifest | null;
  };
  /** Of the newest operations that were committed; null where none says it. */
  readonly last: {
    readonly stopMs: number | null;
    readonly startMs: number | null;
    readonly downtimeMs: number | null;
  };
}

export interface SourceFacts {
  readonly placement: string;
  readonly cluster: string;
  /** What it must be for the operation to begin: `serving`, or `resting`, with the application stopped. */
  readonly expected: "serving" | "resting";
  readonly manifest: ClusterManifest;
  /** Whether its agent's public key is on record. */
  readonly isKeyPinned: boolean;
  readonly capabilities: Seen<ClusterCapabilities>;
  readonly status: Seen<AgentStatus>;
  readonly witness: Seen<Witness>;
  /** Null: its driver sees nothing but its own placements there. */
  readonly survey: Seen<ClusterSurvey> | null;
}

export interface TargetFacts {
  readonly cluster: string;
  readonly manifest: ClusterManifest;
  /** Whether placements can be made there at all. */
  readonly check: Seen<true>;
  readonly capabilities: Seen<ClusterCapabilities>;
  readonly room: Seen<ClusterRoom>;
  /** Null: its driver sees nothing but its own placements there. */
  readonly survey: Seen<ClusterSurvey> | null;
  /** The application's key there; with a fence it is the probe's alone. */
  readonly dataKey: Seen<KeyFacts>;
}

export interface KeyFacts {
  /** Runs out, nobody knows when. */
  readonly isTemporary: boolean;
}

export interface StorageFacts {
  readonly lease: Seen<Lease | null>;
  /** Null: nothing new is begun there, so nobody looked. */
  readonly probe: Seen<ProbeResult> | null;
  readonly controlKey: Seen<KeyFacts>;
  /** Whether everything below the prefix can be listed. */
  readonly listing: Seen<true>;
  /** Uploads that were begun and not ended; null where nobody may list them. */
  readonly openUploads: Seen<number> | null;
  /** When the first of the certificates to trust runs out, in days from now; null without certificates of its own. */
  readonly certificateDays: Seen<number | null>;
  /** How long the store waits for the rest of a body; `value.ms` is null where no bound was found. Null: never measured. */
  readonly inFlight: Seen<{ readonly ms: number | null } | null>;
}

export interface FenceFacts {
  /** Whether the administration of keys answers, and knows the source's key; null where there is no source. */
  readonly knowsSourceKey: Seen<boolean | null>;
}

export interface DatabaseFacts {
  /** Whether roles can be made there. */
  readonly check: Seen<true>;
  /** Whether the source's role is let in; null where there is no source. */
  readonly letsSourceIn: Seen<boolean | null>;
}

export interface TrafficFacts {
  readonly target: string;
  /** Whether it can be told, as far as is cheap to see. */
  readonly check: Seen<true>;
}

export interface OrchestratorFacts {
  readonly version: string;
  /** Free bytes below its own state directory, which it could write to. */
  readonly stateFreeBytes: Seen<number>;
}
