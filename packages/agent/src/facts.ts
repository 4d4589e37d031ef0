import {
  type AgentOperation,
  type Command,
  type Receipt,
  type Run,
  type StartResult,
  type VerifiedCommand,
  sameRun,
} from "@baton/protocol";
import type { RequestWrite } from "@baton/storage";

type Problem = Extract<AgentOperation, { state: "failed" }>["problem"];

/** How a run ended, or how an attempt to end it did: the part of a receipt that does not depend on who asked. */
export interface Ending extends Pick<
  Receipt,
  "outcome" | "evidenceClass" | "exit" | "signals" | "phases" | "evidence"
> {
  readonly timings: Omit<Receipt["timings"], "receivedAt">;
}

/** One start of the application, as far as it came. Written before the step that it speaks of. */
export interface RunFacts {
  readonly run: Run;
  readonly epoch: number;
  readonly operation: string;
  /** Null where no lease is configured, or the run follows another one in the same slot. */
  readonly grant: string | null;
  /** The place that the platform starts again; null when it has no name. */
  readonly slot: string | null;
  /** Where somebody else executes it, in another container: that one's cgroup path and the process it was started with. */
  readonly container: { readonly path: string; readonly mainPid: number } | null;
  /** Data keys came with the grant: they are kept nowhere, so nobody can start it again without a new one. */
  readonly hasSecrets: boolean;
  /** Value of the cookie variable: `<placement>:<random>`. */
  readonly cookie: string;
  readonly bootId: string;
  /** In which the agent saw it, as the kernel names it ("pid:[4026531836]"); null when that was not to be read. */
  readonly pidNamespace: string | null;
  /** No process of the run is older (ticks after boot). */
  readonly since: string;
  readonly noNewPrivileges: boolean;
  /** Known once it was executed; null before, and when the agent died in between. */
  readonly process: { readonly pid: number; readonly startTime: string; readonly execAt: string } | null;
  readonly readyAt: string | null;
  readonly open: boolean;
  /** Only when the whole tree was proven gone. */
  readonly end: Ending | null;
  /** `platform`: stopped because the platform ended the agent; a `stop` was asked for, and burns the run for good. */
  readonly endedBy: "stop" | "platform" | "itself" | "never-executed" | null;
}

export interface OperationRecord {
  readonly key: string;
  readonly kind: "stop" | "start" | "burn";
  readonly operation: string;
  readonly epoch: number;
  /** A stop's run. */
  readonly run: Run | null;
  /** A start's or burn's grant. */
  readonly grant: string | null;
  readonly receivedAt: string;
  readonly deadlineMs: number;
  /** SIGKILL may end this stop, though the hook does not say so. */
  readonly kill?: boolean | undefined;
  /** The run had ended before this stop was accepted. */
  readonly late: boolean;
  readonly progress:
    | { readonly state: "open" }
    | { readonly state: "receipt" }
    | { readonly state: "started"; readonly result: StartResult }
    | { readonly state: "failed"; readonly problem: Problem };
  /** Whether the orchestrator has the receipt: `none` where it is not to be told. */
  readonly confirmation: "none" | "pending" | "confirmed" | "refused";
  /** Whether its receipt lies beside the lease as well. */
  readonly copy: "none" | "pending" | "bucket";
}

/**
 * What a Krake ordered last, durable from before the first signal on. `asked`: the stop is not over; `pending`: it is to be confirmed; `confirmed`:
 * Krake took it; `refused`: its API refused it for good; `withheld`: the end is none that may be confirmed.
 */
export interface KrakeFacts {
  readonly state: "asked" | "pending" | "confirmed" | "refused" | "withheld";
  /** That is stopped or was; null where nothing had ever been started. */
  readonly run: Run | null;
}

/** A stop out of the bucket, and the write that accepts it: it begins once that was certainly taken. */
export interface Accepting {
  readonly verified: VerifiedCommand & { readonly command: Extract<Command, { kind: "stop" }> };
  readonly write: RequestWrite;
}

/** Everything the agent must know after a crash. Holds no secret. */
export interface Facts {
  readonly version: 1;
  /** The highest epoch of an accepted command. */
  readonly epoch: number;
  /** Used command nonces with the second (since 1970) after which they may be forgotten. */
  readonly nonces: Readonly<Record<string, number>>;
  /** The newest life that commanded, by the operation's id; of the last operations. */
  readonly terms: Readonly<Record<string, number>>;
  readonly operations: Readonly<Record<string, OperationRecord>>;
  /** Keys of stops that must never be executed. */
  readonly withdrawn: readonly string[];
  readonly burnedGrants: readonly string[];
  /** A start whose grant may have been turned into a run, but which was certainly not executed. */
  readonly starting: RunFacts | null;
  /** The run that lives or the last one. */
  readonly run: RunFacts | null;
  /** Null when no Krake ever ordered anything. */
  readonly krake: KrakeFacts | null;
  /** Null when nothing in the bucket is being accepted. */
  readonly accepting: Accepting | null;
}

export const noFacts: Facts = {
  version: 1,
  epoch: 0,
  nonces: {},
  terms: {},
  operations: {},
  withdrawn: [],
  burnedGrants: [],
  starting: null,
  run: null,
  krake: null,
  accepting: null,
};

/** So many operations are remembered at least, once they are over. */
const remembered = 256;

export function withOperation(facts: Facts, record: OperationRecord): Facts {
  const operations = Object.hasOwn(facts.operations, record.key)
    ? facts.operations
    : withoutOldest(facts.operations);
  return { ...facts, operations: { ...operations, [record.key]: record } };
}

/**
 * Forgets what is over and told, the oldest first. Nothing is done again for it: a start of that epoch is stale, and a stop finds
 * its receipt, whose file stays.
 */
function withoutOldest(operations: Facts["operations"]): Facts["operations"] {
  const all = Object.entries(operations);
  if (all.length < 2 * remembered) return operations;
  const firstKept = all.length - remembered;
  return Object.fromEntries(all.filter(([, record], n) => n >= firstKept || !isOver(record)));
}

const isOver = ({ progress, confirmation, copy }: OperationRecord): boolean =>
  progress.state !== "open" &&
  confirmation !== "pending" &&
  (copy !== "pending" || progress.state !== "receipt");

export function changeOperation(facts: Facts, key: string, change: Partial<OperationRecord>): Facts {
  const record = facts.operations[key];
  return record === undefined ? facts : withOperation(facts, { ...record, ...change });
}

export const changeRun = (facts: Facts, change: Partial<RunFacts>): Facts =>
  facts.run === null ? facts : { ...facts, run: { ...facts.run, ...change } };

/** Without a name of the slot nobody can say that its earlier processes are dead; data keys came with the grant and are gone. */
export const mayFollow = (run: RunFacts, slot: string | null): boolean =>
  slot !== null && run.slot === slot && !run.hasSecrets;

/** The step in the key of a stop that the platform wants, by SIGTERM. */
export const platformStop = "agent-stop";

/** Whether a stop of this run was ordered, not just wanted by the platform, and is not over: it burns the run, whatever becomes of the agent. */
export const isToldToStop = ({ operations }: Facts, { run }: RunFacts): boolean =>
  Object.values(operations).some(
    (record) =>
      record.kind === "stop" &&
      record.progress.state === "open" &&
      sameRun(record.run, run) &&
      !record.key.startsWith(`${record.operation}.${platformStop}.`),
  );

/** What is left of a run that was never executed: nothing, which is proven. */
export const neverExecuted = (bootId: string, at: string): Ending => ({
  outcome: "already-stopped",
  evidenceClass: "proven",
  exit: null,
  signals: [],
  phases: [],
  evidence: { treeGone: true, remaining: [], checks: [], bootId },
  timings: { signalledAt: null, exitedAt: null, verifiedAt: at, stopMs: null },
});
