import { type Run, formatRun, isAppError } from "@baton/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import * as v from "valibot";
import { type Lease, type LeaseChange, leaseSchema, nextLease } from "./lease.ts";
import { at, create, harbor, island, operation, owner, runOf } from "./fixtures/lease-samples.ts";

type HandoverFrom = Extract<LeaseChange, { kind: "grant" }>["from"];

/** One thing that somebody tries, believing `age` changes ago to be now; `exit` ends the processes of the run. */
interface Attempt {
  readonly kind: Exclude<LeaseChange["kind"], "adopt"> | "exit";
  readonly placement: string;
  readonly age: number;
  readonly foreign: boolean;
}

const attempts = fc.array(
  fc.record<Attempt>({
    kind: fc.constantFrom(
      ...([
        "create",
        "grant",
        "grant",
        "run",
        "run",
        "restart",
        "restart",
        "renew",
        "stop",
        "burn",
        "fence",
        "exit",
        "exit",
      ] as const),
    ),
    placement: fc.constantFrom(harbor, island),
    // Mostly up to date: else hardly any change would be allowed and the run would go nowhere.
    age: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(10) }),
    foreign: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  }),
  { minLength: 20, maxLength: 150, size: "max" },
);

/** Two agents that are honest but may be late, an orchestrator that grants only by receipts but maybe by old ones, and strangers. */
function createWorld() {
  const leases: Lease[] = [];
  const receipts: HandoverFrom[] = [];
  const live = new Map<string, { readonly run: Run; readonly epoch: number }>();
  const usedGrants: string[] = [];
  let runs = 0;
  const ago = <T>(items: readonly T[], age: number): T | undefined => items.at(-1 - age) ?? items[0];

  const changeOf = (attempt: Attempt, n: number): LeaseChange | undefined => {
    const { kind, placement, age } = attempt;
    const who = attempt.foreign ? "stranger" : owner;
    const believed = ago(leases, age);
    if (kind === "exit") return undefined;
    if (kind === "create") return { ...create, owner: who, holder: placement, grant: `grant-${n}` };
    if (kind === "grant") {
      const from = ago(receipts, age);
      return from && { kind, owner: who, from, holder: placement, grant: `grant-${n}`, operation };
    }
    if (kind === "fence") {
      const { holder, epoch, run } = believed ?? { holder: placement, epoch: 1, run: null };
      return { kind, owner: who, from: { holder, epoch, run }, operation };
    }
    const agent = { owner: who, holder: placement, epoch: believed?.epoch ?? 1 };
    const grant = leases.slice(0, leases.length - age).findLast((lease) => lease.grant !== null)?.grant;
    if (kind === "run") return { kind, ...agent, grant: grant ?? "none", run: runOf(placement, (runs += 1)) };
    if (kind === "burn") return { kind, ...agent, grant: grant ?? "none" };
    const run = believed?.run ?? runOf(placement, 1_000);
    if (kind === "renew") return { kind, ...agent, run };
    // An agent says "stopped", and starts again, only after processes that it saw gone.
    if (live.has(formatRun(run))) return undefined;
    if (kind === "stop") return { kind, ...agent, run };
    return { kind, ...agent, from: run, run: runOf(placement, (runs += 1)) };
  };

  const exit = (placement: string): void => {
    for (const [name, { run, epoch }] of live)
      if (run.placement === placement) {
        live.delete(name);
        receipts.push({ holder: placement, epoch, run });
      }
  };

  const apply = (change: LeaseChange, after: Lease): void => {
    leases.push(after);
    if (change.kind === "run") usedGrants.push(change.grant);
    if (change.kind === "run" || change.kind === "restart")
      live.set(formatRun(change.run), { run: change.run, epoch: change.epoch });
    if (change.kind === "fence") {
      // The store refuses the credentials of the epoch from here on, and only therefore may a grant follow.
      receipts.push(change.from);
      if (change.from.run !== null) live.delete(formatRun(change.from.run));
    }
    if (change.kind === "burn") {
      usedGrants.push(change.grant);
      receipts.push({ holder: change.holder, epoch: change.epoch, run: null });
    }
  };
  return { leases, live, usedGrants, changeOf, exit, apply };
}

/** P1: whatever two late placements, an orchestrator with old receipts and strangers try, at most one run may write. */
it("lets one run live at a time, whoever tries what in which order", () => {
  let deepest = 0;
  let restarts = 0;
  let fences = 0;
  fc.assert(
    fc.property(attempts, (tried) => {
      const world = createWorld();
      for (const [n, attempt] of tried.entries()) {
        if (attempt.kind === "exit") world.exit(attempt.placement);
        const before = world.leases.at(-1) ?? null;
        const change = world.changeOf(attempt, n);
        if (change === undefined || (before === null && attempt.foreign)) continue;
        let after: Lease;
        try {
          after = nextLease(before, change, { nonce: `n${n}`, at });
        } catch (error) {
          if (!isAppError(error)) throw error;
          if (before !== null && attempt.foreign) expect(error.code).toBe("lease-foreign");
          continue;
        }
        world.apply(change, after);

        expect(attempt.foreign).toBe(false);
        expect(v.is(leaseSchema, after)).toBe(true);
        expect(after.epoch - (before?.epoch ?? 0)).toBe(
          change.kind === "grant" || change.kind === "create" ? 1 : 0,
        );
        if (before !== null && after.holder !== before.holder) expect(change.kind).toBe("grant");
        expect(after.nonce).toBe(`n${n}`);
        expect(after.history.includes(`n${n}`)).toBe(change.kind !== "renew");
        expect(new Set(world.usedGrants).size).toBe(world.usedGrants.length);
        expect(world.live.size).toBeLessThanOrEqual(1);
        if (change.kind === "fence") fences += 1;
        if (change.kind === "restart") {
          // Only the very run that the lease named, and only while nobody else came in between.
          expect(before).toMatchObject({ state: "running", run: change.from, epoch: after.epoch });
          restarts += 1;
        }
        deepest = Math.max(deepest, after.epoch);
      }
    }),
    { numRuns: 300, seed: 7 },
  );
  // Else the attempts were so wild that nothing was shown.
  expect(deepest).toBeGreaterThan(5);
  expect(restarts).toBeGreaterThan(50);
  expect(fences).toBeGreaterThan(50);
});
