import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectedDowntimeMs, nextPass, type Pass } from "./passes.ts";

const duration = fc.nat(1_000_000);
const pass: fc.Arbitrary<Pass> = fc.record({
  backupMs: duration,
  restoreMs: duration,
  compareMs: duration,
  bytes: fc.nat(),
  bytesAdded: fc.nat(),
});
const policy = fc.record({ maxPasses: fc.nat(10), smallEnoughMs: duration });

describe("the passes of a move", () => {
  it("end, whatever they take, and are no more than wanted", () => {
    fc.assert(
      fc.property(fc.infiniteStream(pass), policy, (took, wanted) => {
        const passes: Pass[] = [];
        while (nextPass(passes, wanted).next === "pass") {
          passes.push(took.next().value);
          expect(passes.length).toBeLessThanOrEqual(wanted.maxPasses);
        }
        const last = expectedDowntimeMs(passes);
        if (passes.length < wanted.maxPasses) expect(last).toBeLessThanOrEqual(wanted.smallEnoughMs);
        // Every pass but the last one was too long: none was made for nothing.
        for (const each of passes.slice(0, -1))
          expect(expectedDowntimeMs([each])).toBeGreaterThan(wanted.smallEnoughMs);
      }),
    );
  });

  it("foretell the downtime by the last one alone", () => {
    fc.assert(
      fc.property(fc.array(pass), pass, (before, last) => {
        expect(expectedDowntimeMs([...before, last])).toBe(last.backupMs + last.restoreMs + last.compareMs);
      }),
    );
    expect(expectedDowntimeMs([])).toBeNull();
  });

  it("say why", () => {
    const took = (backupMs: number): Pass => ({
      backupMs,
      restoreMs: 0,
      compareMs: 0,
      bytes: 1,
      bytesAdded: 1,
    });
    const wanted = { maxPasses: 2, smallEnoughMs: 100 };
    expect(nextPass([], { ...wanted, maxPasses: 0 }).why).toBe("no pass before the stop is wanted");
    expect(nextPass([], wanted).why).toBe("nothing was copied yet");
    expect(nextPass([took(101)], wanted).why).toBe("the last pass took 101 ms, which is more than 100 ms");
    expect(nextPass([took(100)], wanted).why).toBe("the last pass took 100 ms, which is no more than 100 ms");
    expect(nextPass([took(900), took(800)], wanted).why).toBe("all 2 passes are used up");
  });
});
