import type {
  AgentStatus,
  DowntimeLedger,
  Finding,
  Receipt,
  Run,
  StartResult,
  StopPolicy,
  Verify,
  FenceRecord,
  ReplicaRecord,
} from "@baton/protocol";
import type { Witness } from "@baton/clusters";
import type { PreflightFacts } from "./preflight/facts.ts";
import type { LeaseView, LeaseWrite } from "@baton/storage";

/** A receipt with a signature that was checked against the placement's recorded key. */
export interface VerifiedReceipt {
  readonly receipt: Receipt;
  readonly jws: string;
}

/** One placement: its cluster from outside and its agent from inside. Every call ends by `signal` at the latest; all are idempotent. */
export interface PlacementPort {
  readonly placement: string;
  readonly cluster: string;
  /** Makes sure that the placement exists, held; records the agent's public key once, refuses another one (`agent-identity`). */
  place(signal: AbortSignal): Promise<AgentStatus>;
  status(signal: AbortSignal): Promise<AgentStatus>;
  witness(signal: AbortSignal): Promise<Witness>;
  remove(signal: AbortSignal): Promise<void>;
  /** Sends the stop; the receipt comes as a message on the operation's topic for `key`. */
  stop(command: StopCommand, signal: AbortSignal): Promise<void>;
  /** The receipt of a stop, or null when the agent has none by the deadline `waitMs`. */
  receipt(
    params: { readonly key: string; readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<VerifiedReceipt | null>;
  /** Checks a receipt that came as a message. */
  verifyReceipt(jws: string): Promise<VerifiedReceipt>;
  /** Turns the grant into a run and waits until the application is ready. */
  start(command: StartCommand, signal: AbortSignal): Promise<StartResult>;
  /** Gives up a grant that was never started. */
  burn(
    command: { readonly key: string; readonly epoch: number; readonly grant: string },
    signal: AbortSignal,
  ): Promise<VerifiedReceipt>;
  /** From now on the agent never executes this stop. */
  withdraw(
    command: { readonly key: string; readonly epoch: number },
    signal: AbortSignal,
  ): Promise<AgentStatus>;
  /** Lets clients in. */
  open(command: { readonly epoch: number; readonly run: Run }, signal: AbortSignal): Promise<void>;
  /** All checks of the application once, before clients are let in. @throws AppError `application-not-ready` for the first that fails */
  verify(
    checks: { readonly epoch: number; readonly run: Run; readonly verify: Verify },
    signal: AbortSignal,
  ): Promise<void>;
}

export interface StopCommand {
  readonly key: string;
  readonly epoch: number;
  readonly run: Run;
  /** The agent ends its stop by then, in ms. */
  readonly deadlineMs: number;
  /** SIGKILL may follow the last signal, whatever the hook says. */
  readonly kill?: boolean | undefined;
}

export interface StartCommand {
  readonly key: string;
  readonly epoch: number;
  readonly grant: string;
  readonly deadlineMs: number;
}

/** The application's lease. */
export interface LeasePort {
  readonly owner: string;
  readonly prefix: string;
  read(signal: AbortSignal): Promise<LeaseView | null>;
  claim(signal: AbortSignal): Promise<void>;
  /** Definite or an error: see safety rule 7. */
  apply(
    write: LeaseWrite,
    signal: AbortSignal,
  ): Promise<{ readonly kind: "applied" } | { readonly kind: "superseded"; readonly current: LeaseView }>;
}

/** A placement in one epoch: whose key a fence takes away. */
export interface KeyHolder {
  readonly placement: string;
  readonly epoch: number;
}

/** Takes the keys of placements away; there is one only where the storage gives each placement a key of its own. Every call is idempotent. */
export interface FencePort {
  /** Sees that the key is let in everywhere: to be done, and remembered, before `apply`. @throws AppError `fence-unproven`. */
  assertOpen(holder: KeyHolder, signal: AbortSignal): Promise<void>;
  /** After it the store takes nothing more of this key, also nothing that had begun before. @throws AppError `fence-unproven`. */
  apply(holder: KeyHolder, signal: AbortSignal): Promise<FenceRecord>;
  /** Only orders it, without proof: for a holder that is known to be gone. */
  disable(holder: KeyHolder, signal: AbortSignal): Promise<void>;
}

/** The endpoints of source and target; there is one only where either shows writes late. */
export interface ReplicaPort {
  /**
   * Waits until both endpoints show the same: to be asked when nobody writes any more. Idempotent.
   *
   * @param writer who had the lease last. @throws AppError `storage-stale` with the difference when the time is up.
   */
  waitUntilEqual(writer: "source" | "target", signal: AbortSignal): Promise<ReplicaRecord>;
}

/** The operation's records. */
export interface RecordsPort {
  /** Written before a lease write, so that a lease can never be newer than the records unless the records are old. */
  raiseEpoch(epoch: number): Promise<void>;
  mark(moments: Partial<DowntimeLedger>): Promise<void>;
  saveReceipt(receipt: VerifiedReceipt): Promise<void>;
  /** Kept with the operation for ever: what took a receipt's place, or stood beside one. */
  saveFence(fence: FenceRecord | null, possibleLoss: boolean): Promise<void>;
  saveReplica(replica: ReplicaRecord): Promise<void>;
  /** The pivot: the placement record and the route are switched, in one transaction with the operation's state. Idempotent. */
  commit(epoch: number): Promise<void>;
  /** The pivot of a stop, in such a transaction: nothing serves, the placement stays. Idempotent. */
  commitStop(): Promise<void>;
  /** The pivot of a delete, in such a transaction: the application has no placement any more. Idempotent. */
  commitDelete(): Promise<void>;
  /** The current epoch after taking back. */
  restore(epoch: number): Promise<void>;
  retire(placement: string): Promise<void>;
}

/** What there is to be seen before an operation begins, and where it is written down what was found. */
export interface PreflightPort {
  /** Changes nothing but the probe's scratch keys. Never throws for a fact that cannot be seen: that is a fact as well. */
  look(signal: AbortSignal): Promise<PreflightFacts>;
  keep(findings: readonly Finding[]): Promise<void>;
}

export interface Clock {
  now(): Date;
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** What every saga needs: the application's lease, the records. */
interface CommonPorts {
  readonly lease: LeasePort;
  readonly records: RecordsPort;
  readonly clock: Clock;
  /** Null: the storage has no fence. */
  readonly fence: FencePort | null;
  /** Null: what one side wrote, the other reads at once. */
  readonly replica: ReplicaPort | null;
  readonly preflight: PreflightPort;
}

/** With the placement that shall run the application. */
export interface DeployPorts extends CommonPorts {
  readonly target: PlacementPort;
}

/** With the placement that has the application. */
export interface SourcePorts extends CommonPorts {
  readonly source: PlacementPort;
}

export interface MigratePorts extends DeployPorts, SourcePorts {}

/** From the deployment's snapshot, never from the application's current instructions. */
export interface DeployInput {
  readonly application: string;
  readonly graceMs: number;
  readonly readyTimeoutMs: number;
  readonly verify: Verify | null;
  readonly settleMs: number;
  /** How long a replica may take to catch up; 0 where there is none. */
  readonly replicaMs: number;
  /** What is done about a source that does not stop. */
  readonly stop: StopPolicy;
  /** The highest epoch in the records when the operation began; 0 when the application never had a lease. */
  readonly knownEpoch: number;
  /** Of the lease when it was adopted last, its writer shut out with proof; 0 when it never was. */
  readonly adoptedEpoch: number;
}
