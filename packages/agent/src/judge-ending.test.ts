import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judgeEnding } from "./judge-ending.ts";

const evidence = fc.record({
  treeGone: fc.boolean(),
  alive: fc.nat(3),
  killed: fc.boolean(),
  exit: fc.option(
    fc.record({
      code: fc.option(fc.integer({ min: 0, max: 3 })),
      signal: fc.option(fc.constantFrom("SIGTERM", "SIGKILL")),
    }),
  ),
  exitedBefore: fc.boolean(),
  gracefulExitCodes: fc.subarray([0, 1, 2]),
});

describe("the judgement of a stop", () => {
  it("is proven exactly when the tree is gone", () => {
    fc.assert(
      fc.property(evidence, (seen) => {
        expect(judgeEnding(seen).evidenceClass).toBe(seen.treeGone ? "proven" : "unknown");
      }),
    );
  });

  it("is graceful only with a listed exit status, without a kill, and of a child that lived when it began", () => {
    fc.assert(
      fc.property(evidence, (seen) => {
        if (judgeEnding(seen).outcome !== "graceful") return;
        expect(seen).toMatchObject({
          treeGone: true,
          killed: false,
          exitedBefore: false,
          exit: { signal: null },
        });
        expect(seen.gracefulExitCodes).toContain(seen.exit?.code);
      }),
    );
  });

  it("says unknown, not refused, of a kill that did not work", () => {
    const seen = { treeGone: false, alive: 1, exit: null, exitedBefore: false, gracefulExitCodes: [0] };
    expect(judgeEnding({ ...seen, killed: true }).outcome).toBe("unknown");
    expect(judgeEnding({ ...seen, killed: false }).outcome).toBe("refused");
    expect(judgeEnding({ ...seen, killed: false, alive: 0 }).outcome).toBe("unknown");
  });
});
