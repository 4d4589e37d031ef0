import { AppError, type Run, formatRun, nameSchema, operationIdSchema } from "@baton/protocol";
import { integer, moment, placementIdSchema, runSchema, sameRun, strictObject } from "@baton/protocol";
import * as v from "valibot";
import { assertPrefix, controlPrefix } from "./prefix.ts";

const text = v.pipe(v.string(), v.minLength(1));

/** The baton of one storage prefix: who may write there. One object, never deleted, changed by conditional writes only. */
export const leaseSchema = v.pipe(
  strictObject({
    version: v.literal(1),
    owner: text,
    application: nameSchema,
    prefix: v.string(),
    /** Grows by one with every grant, also on the way back; never anything else. */
    epoch: v.pipe(integer, v.gtValue(0)),
    holder: placementIdSchema,
    state: v.picklist(["granted", "running", "stopped", "fenced"]),
    /** Single-use permission to start; only in `granted`. */
    grant: v.nullable(text),
    /** The run that may write (`running`) or was the last of this epoch (`stopped`, `fenced`; null when the grant was never used). */
    run: v.nullable(runSchema),
    operation: operationIdSchema,
    /** Unique for every write. */
    nonce: text,
    /**
     * Nonces of the last 8 writes but renewals, newest last: whoever did not hear the answer to his write finds it here. Renewals
     * are left out because an hour of them would push out the grant that somebody has to find.
     */
    history: v.array(text),
    /** For people only; no decision reads it. */
    at: moment,
  }),
  v.check(
    (lease) => (lease.state === "granted") === (lease.grant !== null),
    "a lease has a grant when it is granted, and only then",
  ),
  v.check(
    (lease) => lease.state !== "running" || lease.run?.placement === lease.holder,
    "a running lease names a run of its holder",
  ),
);
export type Lease = v.InferOutput<typeof leaseSchema>;

interface AgentChange {
  readonly owner: string;
  readonly holder: string;
  readonly epoch: number;
}

/** Who has it until now; `run` is null when no run was made of the grant of that epoch. */
interface Tenure {
  readonly holder: string;
  readonly epoch: number;
  readonly run: Run | null;
}

/** What can happen to a lease; `create`, `grant`, `fence`, `adopt` are the orchestrator's, the others the agent's, and `stop` of who has its receipt too. */
export type LeaseChange =
  | {
      readonly kind: "create";
      readonly owner: string;
      readonly application: string;
      readonly prefix: string;
      readonly holder: string;
      readonly grant: string;
      readonly operation: string;
    }
  | {
      readonly kind: "grant";
      readonly owner: string;
      /** From the receipt, or what was fenced (rule 8). */
      readonly from: Tenure;
      readonly holder: string;
      readonly grant: string;
      readonly operation: string;
    }
  /**
   * Ends the epoch without its holder: no start, restart or renewal of it is taken any more. It keeps nobody from writing data: a grant
   * may follow only when the store was seen to refuse the holder's credentials.
   */
  | {
      readonly kind: "fence";
      readonly owner: string;
      readonly from: Tenure;
      readonly operation: string;
    }
  /** Another owner's becomes ours, fenced: only when the store was seen to refuse every key that its writer has (rule 9). */
  | {
      readonly kind: "adopt";
      readonly owner: string;
      readonly application: string;
      readonly from: Tenure & { readonly owner: string };
      readonly operation: string;
    }
  | (AgentChange & {
      readonly kind: "run";
      readonly grant: string;
      readonly run: Run;
      readonly operation?: string | undefined;
    })
  /** The same slot starts again; `from` is its run until then, whose processes are dead (rule 2). */
  | (AgentChange & { readonly kind: "restart"; readonly from: Run; readonly run: Run })
  | (AgentChange & { readonly kind: "renew" | "stop"; readonly run: Run })
  | (AgentChange & { readonly kind: "burn"; readonly grant: string });

/** `nonce` must never have been used before; `at` is ISO 8601. */
export interface WriteStamp {
  readonly nonce: string;
  readonly at: string;
}

export const historyLength = 8;

/** "ledger/" → ".baton/leases/ledger/lease.json". @throws AppError `invalid-request` for a prefix that is none. */
export function leaseKey(prefix: string): string {
  assertPrefix(prefix);
  return `${controlPrefix}leases/${prefix}lease.json`;
}

/**
 * The lease after a change.
 *
 * @throws AppError `lease-missing` (there is none), `lease-foreign` (another owner or application), `stale-epoch` (an agent's change of an
 * older epoch), `grant-refused` (the grant was used, burned, or never given), `lease-mismatch` (anything else is not as the change expects).
 */
export function nextLease(current: Lease | null, change: LeaseChange, stamp: WriteStamp): Lease {
  if (change.kind === "create") return firstLease(current, change, stamp);
  if (change.kind === "adopt") return adopted(current, change, stamp);
  const lease = ownLease(current, change);
  const written = { ...lease, ...stamp, history: [...lease.history, stamp.nonce].slice(-historyLength) };
  switch (change.kind) {
    case "grant": {
      const { from, holder, grant, operation } = change;
      // Never from `granted`: a grant that may be used at any moment must be burned, run or fenced first.
      expectTenure(
        lease,
        change,
        from.run === null ? ["stopped", "fenced"] : ["stopped", "running", "fenced"],
      );
      return { ...written, epoch: lease.epoch + 1, holder, state: "granted", grant, run: null, operation };
    }
    case "fence":
      expectTenure(lease, change, ["granted", "running", "stopped"]);
      return { ...written, state: "fenced", grant: null, operation: change.operation };
    case "run":
      expectGrant(lease, change);
      return {
        ...written,
        state: "running",
        grant: null,
        run: change.run,
        operation: change.operation ?? lease.operation,
      };
    case "restart":
      expectRestart(lease, change);
      return { ...written, run: change.run };
    case "renew":
      expectRunning(lease, change, change.run);
      return { ...written, history: lease.history };
    case "stop":
      expectRunning(lease, change, change.run);
      return { ...written, state: "stopped" };
    case "burn":
      expectGrant(lease, change);
      return { ...written, state: "stopped", grant: null };
  }
}

/**
 * Whether the lease shows the effect of this very change already, so that somebody who died before he heard the answer may
 * ask for it again. A renewal has no effect that could be seen.
 */
export function isInEffect(lease: Lease | null, change: LeaseChange): boolean {
  if (lease === null || lease.owner !== change.owner) return false;
  const isTaken = change.kind === "fence" || change.kind === "adopt";
  if (lease.holder !== (isTaken ? change.from.holder : change.holder)) return false;
  switch (change.kind) {
    case "create":
      return (
        lease.application === change.application &&
        lease.epoch === 1 &&
        lease.state === "granted" &&
        lease.grant === change.grant
      );
    case "grant":
      return (
        lease.epoch === change.from.epoch + 1 && lease.state === "granted" && lease.grant === change.grant
      );
    case "fence":
      return (
        lease.epoch === change.from.epoch && lease.state === "fenced" && sameRun(lease.run, change.from.run)
      );
    case "adopt":
      return lease.epoch === change.from.epoch + 1 && lease.state === "fenced";
    case "run":
    case "restart":
      if (change.kind === "restart" && !isLater(change)) return false;
      return lease.epoch === change.epoch && lease.state === "running" && sameRun(lease.run, change.run);
    case "stop":
      return lease.epoch === change.epoch && lease.state === "stopped" && sameRun(lease.run, change.run);
    case "burn":
      return lease.epoch === change.epoch && lease.state === "stopped" && lease.run === null;
    case "renew":
      return false;
  }
}

type Change<K extends LeaseChange["kind"]> = Extract<LeaseChange, { kind: K }>;

function firstLease(current: Lease | null, change: Change<"create">, stamp: WriteStamp): Lease {
  const { owner, application, prefix, holder, grant, operation } = change;
  if (current !== null) {
    if (current.owner !== owner || current.application !== application)
      throw foreign(current, `"${application}" of ${owner}`);
    throw mismatch(change, current, "there is no lease");
  }
  return {
    version: 1,
    owner,
    application,
    prefix,
    epoch: 1,
    holder,
    state: "granted",
    grant,
    run: null,
    operation,
    ...stamp,
    history: [stamp.nonce],
  };
}

/** The holder stays named, though it has nothing any more: whoever looks sees whom it was taken from. */
function adopted(current: Lease | null, change: Change<"adopt">, stamp: WriteStamp): Lease {
  const { owner, application, from, operation } = change;
  if (current === null) throw none(change);
  const { epoch, holder, run } = current;
  if (
    current.owner === owner ||
    current.owner !== from.owner ||
    epoch !== from.epoch ||
    holder !== from.holder ||
    !sameRun(run, from.run)
  )
    throw mismatch(
      change,
      current,
      `epoch ${from.epoch}, held by ${from.holder} of ${from.owner}, ${named(from.run)}`,
    );
  return {
    ...current,
    ...stamp,
    history: [...current.history, stamp.nonce].slice(-historyLength),
    owner,
    application,
    epoch: epoch + 1,
    state: "fenced",
    grant: null,
    operation,
  };
}

function ownLease(current: Lease | null, change: LeaseChange): Lease {
  if (current === null) throw none(change);
  if (current.owner !== change.owner) throw foreign(current, change.owner);
  return current;
}

/** Rule 8. */
function expectTenure(
  lease: Lease,
  change: Change<"grant" | "fence">,
  states: readonly Lease["state"][],
): void {
  const { holder, epoch, run } = change.from;
  if (
    !states.includes(lease.state) ||
    lease.holder !== holder ||
    lease.epoch !== epoch ||
    !sameRun(lease.run, run)
  )
    throw mismatch(change, lease, `epoch ${epoch}, held by ${holder}, ${states.join(" or ")}, ${named(run)}`);
}

function expectHolder(lease: Lease, change: AgentChange & { readonly kind: string }, expected: string): void {
  if (change.epoch < lease.epoch)
    throw new AppError(
      "stale-epoch",
      `cannot ${change.kind} the lease of "${lease.prefix}" in epoch ${change.epoch}: it is in epoch ${lease.epoch}; somebody else was granted it since`,
    );
  if (change.epoch !== lease.epoch || change.holder !== lease.holder)
    throw mismatch(change, lease, `epoch ${change.epoch}, held by ${change.holder}, ${expected}`);
}

function expectGrant(lease: Lease, change: Change<"run" | "burn">): void {
  expectHolder(lease, change, "granted");
  if (lease.state !== "granted" || lease.grant !== change.grant)
    throw new AppError(
      "grant-refused",
      `cannot ${change.kind} the lease of "${lease.prefix}" with this grant: ${
        lease.state === "granted" ? "another one was given" : `the lease is ${lease.state}`
      }; a start needs a grant that was never used`,
    );
  if (change.kind === "run" && change.run.placement !== lease.holder)
    throw mismatch(change, lease, `held by ${change.run.placement}, whose run it is`);
}

function expectRunning(lease: Lease, change: Change<"restart" | "renew" | "stop">, run: Run): void {
  const expected = `running, run ${formatRun(run)}`;
  expectHolder(lease, change, expected);
  if (lease.state !== "running" || !sameRun(lease.run, run)) throw mismatch(change, lease, expected);
}

/** Rule 2. Never from `stopped`: a stop burns the run, and only a grant starts another one. */
function expectRestart(lease: Lease, change: Change<"restart">): void {
  const { from, run } = change;
  expectRunning(lease, change, from);
  if (run.placement !== lease.holder || !isLater(change))
    throw mismatch(change, lease, `a later run of the holder than ${formatRun(from)}, not ${formatRun(run)}`);
}

/** A run that was there before would let its old receipt pass for the new start. Instances have no order. */
const isLater = ({ from, run }: Change<"restart">): boolean =>
  run.instance !== from.instance || run.counter > from.counter;

const none = (change: LeaseChange): AppError =>
  new AppError(
    "lease-missing",
    `cannot ${change.kind} the lease: there is none; find out who removed it before anything is started`,
  );

const foreign = (lease: Lease, who: string): AppError =>
  new AppError(
    "lease-foreign",
    `cannot change the lease of "${lease.prefix}" for ${who}: it belongs to "${lease.application}" of ${lease.owner}; use another prefix`,
  );

function mismatch(change: { readonly kind: string }, lease: Lease, expected: string): AppError {
  return new AppError(
    "lease-mismatch",
    `cannot ${change.kind} the lease of "${lease.prefix}": it has epoch ${lease.epoch}, held by ${lease.holder}, ${lease.state}, ${named(lease.run)}; expected was: ${expected}`,
  );
}

const named = (run: Run | null): string => (run === null ? "no run" : `run ${formatRun(run)}`);
