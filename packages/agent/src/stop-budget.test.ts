import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hookSchema, parseAs } from "@baton/protocol";
import { createDeadline } from "./deadline.ts";
import { type Demand, createStopBudget, demandsOf, reserveMs, shareOf } from "./stop-budget.ts";

const whats = ["drain", "quiesce", "signal", "kill", "export"] as const;
const ms = (max: number) => fc.double({ min: 0, max, noNaN: true });
const demand: fc.Arbitrary<Demand> = fc.record({ what: fc.constantFrom(...whats), ms: ms(3_600_000) });

/** A phase uses some part of its time; in the middle of it the deadline may move to some part of what is left. */
const conduct = fc.record({ used: ms(1), shrunk: fc.option(ms(1.2), { nil: null }), before: ms(1) });

describe("the budget of a stop", () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ["performance"] }));
  afterEach(() => vi.useRealTimers());

  const pass = (forMs: number): void => void vi.advanceTimersByTime(forMs);

  it("ends no phase past the deadline, and keeps back the reserve, whatever is wanted and whenever it shrinks", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(demand, conduct), { maxLength: 8 }), ms(3_600_000), (plan, totalMs) => {
        const deadline = createDeadline(performance.now() + totalMs);
        const budget = createStopBudget(
          plan.map(([wanted]) => wanted),
          deadline,
        );
        for (const [{ what, ms: wantedMs }, { used, shrunk, before }] of plan) {
          const beganAt = performance.now();
          const phase = budget.open(what);
          const inTime = (): void => {
            const reserve = reserveMs(deadline.leftMs());
            const latest = deadline.at - (deadline.leftMs() > 0 ? reserve.persistMs : 0);
            expect(phase.deadline.at).toBeLessThanOrEqual(Math.max(latest, performance.now()) + 1e-3);
            expect(phase.deadline.at - beganAt).toBeLessThanOrEqual(wantedMs + 1e-3);
          };
          inTime();
          if (shrunk !== null) {
            pass(Math.floor(phase.deadline.leftMs() * before));
            deadline.shrinkTo(performance.now() + deadline.leftMs() * shrunk);
            inTime();
            const { verifyMs, persistMs } = reserveMs(deadline.leftMs());
            expect(phase.deadline.leftMs()).toBeLessThanOrEqual(
              deadline.leftMs() - verifyMs - persistMs + 1e-3,
            );
          }
          pass(Math.floor(phase.deadline.leftMs() * used));
          phase.close();
          expect(performance.now()).toBeLessThanOrEqual(deadline.at + 1e-3);
          expect(budget.verifyEndAt).toBeLessThanOrEqual(deadline.at);
        }
      }),
    );
  });

  it("leaves every later phase some time when it shrinks in the middle of the first", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1_000, max: 600_000 }),
        fc.integer({ min: 100, max: 30_000 }),
        (drainMs, graceMs) => {
          const demands = [
            { what: "drain", ms: drainMs },
            { what: "signal", ms: graceMs },
            { what: "kill", ms: 5_000 },
          ] as const;
          const deadline = createDeadline(performance.now() + 3_600_000);
          const budget = createStopBudget(demands, deadline);
          const drain = budget.open("drain");
          deadline.shrinkTo(performance.now() + 5_000);
          pass(Math.ceil(drain.deadline.leftMs()));
          drain.close();
          for (const what of ["signal", "kill"] as const) {
            const phase = budget.open(what);
            expect(phase.deadline.leftMs()).toBeGreaterThan(0);
            pass(Math.floor(phase.deadline.leftMs()));
            phase.close();
          }
          expect(deadline.leftMs()).toBeGreaterThanOrEqual(1_900);
        },
      ),
    );
  });

  it("gives the time of phases that were passed over to the later ones", () => {
    const deadline = createDeadline(performance.now() + 10_000);
    const demands = [
      { what: "drain", ms: 60_000 },
      { what: "quiesce", ms: 60_000 },
      { what: "signal", ms: 4_000 },
    ] as const;
    const phase = createStopBudget(demands, deadline).open("signal");
    expect(phase.deadline.leftMs()).toBe(4_000);
  });

  it("has no time for what nobody wants", () => {
    const deadline = createDeadline(performance.now() + 10_000);
    expect(createStopBudget([], deadline).open("kill").deadline.leftMs()).toBe(0);
    expect(shareOf([], 10)).toBe(0);
  });

  it("wants neither drain nor quiesce of what never served", () => {
    const hook = parseAs(hookSchema, { preset: "redis", drain: { timeoutMs: 5_000 } }, "it");
    expect(demandsOf(hook, true).map(({ what }) => what)).toEqual(["drain", "quiesce", "signal"]);
    expect(demandsOf(hook, false).map(({ what }) => what)).toEqual(["signal"]);
  });
});

describe("a deadline", () => {
  it("only ever moves closer, and tells so each time", () => {
    fc.assert(
      fc.property(ms(1e6), fc.array(ms(2e6), { maxLength: 20 }), (first, moves) => {
        const deadline = createDeadline(first);
        let at = first;
        for (const next of [...moves, Number.NaN]) {
          const { moved } = deadline;
          deadline.shrinkTo(next);
          expect(moved.aborted).toBe(next < at);
          at = next < at ? next : at;
          expect(deadline.at).toBe(at);
          expect(deadline.moved.aborted).toBe(false);
        }
      }),
    );
  });
});
