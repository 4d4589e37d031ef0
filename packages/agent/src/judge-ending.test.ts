import type { Check } from "@baton/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type EndingFacts, isStopped, judgeEnding } from "./judge-ending.ts";

const check = fc.record({
  check: fc.constantFrom<Check["check"]>("ports", "files", "sockets", "marker", "flush", "export"),
  state: fc.constantFrom<Check["state"]>("passed", "failed", "unknown"),
  detail: fc.constant<string[]>([]),
});
const evidence: fc.Arbitrary<EndingFacts> = fc.record({
  treeGone: fc.boolean(),
  alive: fc.nat(3),
  killed: fc.boolean(),
  exit: fc.option(
    fc.record({
      code: fc.option(fc.integer({ min: 0, max: 3 }), { nil: null }),
      signal: fc.option(fc.constantFrom<string[]>("SIGTERM", "SIGKILL"), { nil: null }),
    }),
    { nil: null },
  ),
  exitedBefore: fc.boolean(),
  gracefulExitCodes: fc.subarray([0, 1, 2]),
  gracefulSignals: fc.subarray(["SIGTERM"]),
  checks: fc.array(check, { maxLength: 3 }),
  claimedOnly: fc.boolean(),
});
const clean: EndingFacts = {
  treeGone: true,
  alive: 0,
  killed: false,
  exit: { code: 0, signal: null },
  exitedBefore: false,
  gracefulExitCodes: [0],
  gracefulSignals: [],
  checks: [],
  claimedOnly: false,
};
const passed = (name: Check["check"]): Check => ({ check: name, state: "passed", detail: [] });

describe("the judgement of a stop", () => {
  it("is more than unknown exactly when the tree is gone and nothing else is left", () => {
    fc.assert(
      fc.property(evidence, (seen) => {
        const known = seen.claimedOnly ? "claimed" : "proven";
        expect(judgeEnding(seen).evidenceClass).toBe(isStopped(seen) ? known : "unknown");
      }),
    );
  });

  it("is graceful only for a listed end of a child that lived, unkilled, with every check passed", () => {
    fc.assert(
      fc.property(evidence, (seen) => {
        if (judgeEnding(seen).outcome !== "graceful") return;
        expect(seen).toMatchObject({ treeGone: true, killed: false, exitedBefore: false });
        const { exit } = seen;
        const listed =
          exit === null || exit.signal === null
            ? seen.gracefulExitCodes.includes(exit?.code ?? -1)
            : seen.gracefulSignals.includes(exit.signal);
        expect(listed).toBe(true);
        expect(seen.checks.every(({ state }) => state === "passed")).toBe(true);
      }),
    );
  });

  it.each<[string, Partial<EndingFacts>, string]>([
    ["an application that obeyed", { checks: [passed("ports"), passed("flush")] }, "graceful"],
    ["a kill", { killed: true }, "forced"],
    [
      "a death by a signal that is not listed",
      { exit: { code: null, signal: "SIGTERM" } },
      "crashed-during-stop",
    ],
    [
      "a death by a listed signal",
      { exit: { code: null, signal: "SIGTERM" }, gracefulSignals: ["SIGTERM"] },
      "graceful",
    ],
    ["an unknown exit status", { exit: null }, "crashed-during-stop"],
    [
      "an export that failed",
      { checks: [{ check: "export", state: "failed", detail: [] }] },
      "crashed-during-stop",
    ],
    [
      "a marker that is missing",
      { checks: [{ check: "marker", state: "failed", detail: [] }] },
      "crashed-during-stop",
    ],
    ["a port that is held", { checks: [{ check: "ports", state: "failed", detail: [] }] }, "unknown"],
    [
      "files that cannot be looked at",
      { checks: [{ check: "files", state: "unknown", detail: [] }] },
      "unknown",
    ],
    [
      "bytes that are on their way",
      { checks: [{ check: "sockets", state: "failed", detail: [] }] },
      "unknown",
    ],
    ["data that is not flushed", { checks: [{ check: "flush", state: "failed", detail: [] }] }, "unknown"],
    ["an application that lives on", { treeGone: false, alive: 1 }, "refused"],
    ["an application that lives on after SIGKILL", { treeGone: false, alive: 1, killed: true }, "unknown"],
    ["processes that cannot be seen", { treeGone: false, alive: 0 }, "unknown"],
  ])("of %s", (_, facts, outcome) => {
    expect(judgeEnding({ ...clean, ...facts }).outcome).toBe(outcome);
  });

  it("is a claim at most where nobody keeps the application from starting again", () => {
    expect(judgeEnding({ ...clean, claimedOnly: true })).toEqual({
      outcome: "graceful",
      evidenceClass: "claimed",
    });
  });
});
