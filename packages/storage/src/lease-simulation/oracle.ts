import { type Run, formatRun, isAppError, sameRun } from "@baton/protocol";
import type { Lease, LeaseChange } from "../lease.ts";
import type { LeaseView, LeaseWrite, LeaseWriteResult } from "../lease-write.ts";
import type { MemoryBucket } from "../memory-bucket.ts";
import type { Machine } from "./machine.ts";
import type { Sights } from "./sights.ts";
import { forbidden, wasDone } from "./transitions.ts";

/** A promise of the design that was broken. */
export class BrokenPromise extends Error {
  override readonly name = "BrokenPromise";
}

/** The processes of one run, and whether the store still takes what they write. */
export interface Writer {
  readonly run: Run;
  readonly epoch: number;
}

export interface Oracle {
  /** After every event. @throws BrokenPromise */
  check(): void;
  /** A run's processes begin. */
  spawned(writer: Writer): void;
  gone(run: Run): void;
  /** All processes of a placement died. */
  goneFrom(placement: string): void;
  isAlive(run: Run): boolean;
  /** The store was seen to refuse the credentials of one epoch of one placement, at every endpoint. */
  revoked(holder: string, epoch: number): void;
  sends(machine: Machine, write: LeaseWrite): void;
  said(write: LeaseWrite, result: LeaseWriteResult): void;
  /** Everything that somebody wanted of the lease, oldest first. */
  readonly asked: readonly LeaseChange[];
  asks(change: LeaseChange): void;
  /** Watches one call of one process: it must end by its deadline. */
  watch<T>(machine: Machine, deadlineMs: number, call: Promise<T>): Promise<T>;
  /** What the call says must be true as well, of the time of the call and for ever. */
  watchChange(
    machine: Machine,
    deadlineMs: number,
    change: LeaseChange,
    call: Promise<LeaseView>,
  ): Promise<LeaseView>;
  /** A process ended by an error that it did not expect. */
  died(name: string, error: unknown): void;
}

/** A process may be scheduled a little late; no wait is so short. */
const slackMs = 250;

/** Knows nothing of the lease's code: it reads what the bucket accepted and what the machines really did. */
export function createOracle(params: {
  readonly bucket: MemoryBucket;
  readonly machines: () => readonly Machine[];
  readonly sights: Sights;
}): Oracle {
  const { bucket, machines, sights } = params;
  const living = new Map<string, Writer>();
  const revokedKeys = new Set<string>();
  const leases: Lease[] = [];
  const nonces = new Set<string>();
  const taken = new Set<string>();
  const grants = new Set<string>();
  const started = new Set<string>();
  const refused = new Set<string>();
  const excluded = new Set<string>();
  const asked: LeaseChange[] = [];
  const senders = new Map<string, string>();
  const calls = new Set<{ machine: Machine; life: number; endMs: number }>();
  let read = 0;

  let found: BrokenPromise | null = null;

  const broken = (promise: string): never => {
    found ??= new BrokenPromise(promise);
    throw found;
  };
  const expect = (promise: string, holds: boolean): void => void (holds || broken(promise));
  const keyOf = (holder: string, epoch: number): string => `${holder} ${epoch}`;
  const mayWrite = ({ run, epoch }: Writer): boolean => !revokedKeys.has(keyOf(run.placement, epoch));
  const writers = (): readonly Writer[] => [...living.values()].filter(mayWrite);

  const accept = (after: Lease, body: string): void => {
    const before = leases.at(-1) ?? null;
    expect("a write was accepted that was called impossible", !excluded.has(body));
    expect("bytes were written twice", !taken.has(body) && !nonces.has(after.nonce));
    nonces.add(after.nonce);
    taken.add(body);
    leases.push(after);
    const why = forbidden(before, after);
    if (why !== null) broken(why);
    if (after.epoch !== before?.epoch) {
      expect("a grant was given twice", after.grant !== null && !grants.has(after.grant));
      grants.add(after.grant ?? "");
      const left = writers()[0];
      if (left !== undefined)
        broken(`P1: epoch ${after.epoch} began while ${formatRun(left.run)} could write`);
    }
    if (after.run !== null && after.state === "running") {
      expect("a run was accepted that was called refused", !refused.has(formatRun(after.run)));
      started.add(formatRun(after.run));
    }
    look(before, after);
  };

  const look = (before: Lease | null, after: Lease): void => {
    if (before === null) return;
    const isFrozen = (holder: string): boolean =>
      machines().some((each) => each.name === holder && each.isFrozen);
    if (after.epoch > before.epoch) {
      sights.see("handover");
      if (machines().some((each) => each.isFrozen)) sights.see("pause across a handover");
    } else if (after.state === "fenced") {
      sights.see("fence");
      if (isFrozen(after.holder)) sights.see("fence against a frozen holder");
      if (after.run !== null && before.state === "running" && !living.has(formatRun(after.run)))
        sights.see("start written, fenced before it was executed");
    } else if (before.grant !== null && after.state === "stopped") sights.see("burn");
    else if (before.state === "running" && after.state === "running")
      sights.see(sameRun(before.run, after.run) ? "renewal" : "restart");
  };

  /** What is refused is not there and never comes, unless it was there before and its time is over. */
  const heardRefusal = (change: LeaseChange, what: string): void => {
    if (change.kind !== "run" && change.kind !== "restart") return;
    const last = leases.at(-1);
    const isThere = last?.state === "running" && sameRun(last.run, change.run);
    expect(`${what} was called refused and is there`, !isThere);
    if (!started.has(formatRun(change.run))) refused.add(formatRun(change.run));
  };

  return {
    died(name, error) {
      found ??= new BrokenPromise(`${name} ended: ${String(error)}`);
    },
    check() {
      if (found !== null) throw found;
      for (; read < bucket.commits.length; read += 1) {
        const commit = bucket.commits[read] as (typeof bucket.commits)[number];
        expect("the lease was deleted", commit.method === "put");
        accept(JSON.parse(commit.body) as Lease, commit.body);
      }
      const now = writers();
      if (now.length > 1) broken(`P1: ${now.map(({ run }) => formatRun(run)).join(" and ")} can write`);
      for (const call of calls) {
        if (call.machine.life !== call.life) calls.delete(call);
        else if (call.machine.activeMs() > call.endMs)
          broken(`P3: ${call.machine.name} waits past its deadline`);
      }
    },
    spawned(writer) {
      const name = formatRun(writer.run);
      this.check();
      expect(`P1: ${name} started without having been written`, started.has(name));
      if (living.size > 0) sights.see("fenced run alive beside its successor");
      living.set(name, writer);
    },
    gone: (run) => void living.delete(formatRun(run)),
    goneFrom(placement) {
      for (const [name, { run }] of living) if (run.placement === placement) living.delete(name);
    },
    isAlive: (run) => living.has(formatRun(run)),
    revoked: (holder, epoch) => void revokedKeys.add(keyOf(holder, epoch)),
    sends({ name, life }, { body }) {
      const sender = `${name} ${life}`;
      if (senders.has(body) && senders.get(body) !== sender) sights.see("planned write sent by another life");
      senders.set(body, sender);
    },
    said(write, result) {
      const isTaken = taken.has(write.body);
      if (result.kind === "applied") expect("a write was called applied that was not", isTaken);
      else {
        expect("a write was called superseded that was accepted", result.wasTaken === null || !isTaken);
        if (!isTaken) excluded.add(write.body);
      }
    },
    asked,
    asks: (change) => void asked.push(change),
    async watch(machine, deadlineMs, promise) {
      const beganMs = machine.clock.nowMs();
      const call = { machine, life: machine.life, endMs: machine.activeMs() + deadlineMs + slackMs };
      calls.add(call);
      try {
        return await promise;
      } finally {
        calls.delete(call);
        if (machine.clock.nowMs() > beganMs + deadlineMs + slackMs)
          sights.see("deadline passed while frozen");
      }
    },
    async watchChange(machine, deadlineMs, change, promise) {
      asked.push(change);
      const what = `${machine.name}'s ${change.kind}`;
      const before = Math.max(0, leases.length - 1);
      try {
        const view = await this.watch(machine, deadlineMs, promise);
        this.check();
        expect(`${what} was called done and was not`, wasDone(leases.slice(before), change));
        // Whoever may start must not start what is over already.
        const isStart = change.kind === "run" || change.kind === "restart";
        expect(`${what} was called done and is over`, !isStart || wasDone([view.lease], change));
        return view;
      } catch (error) {
        if (isAppError(error) && refusals.includes(error.code)) heardRefusal(change, what);
        throw error;
      }
    },
  };
}

const refusals: readonly string[] = ["grant-refused", "stale-epoch", "lease-foreign", "lease-mismatch"];
