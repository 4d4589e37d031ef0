import { type Plan, accepts, planSchema } from "@baton/protocol";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { finding, finePlan as plan, planHash as hash } from "../fixtures/plans.ts";
import { renderPlan } from "./plan-lines.ts";
import { colored } from "./text.ts";

const wide = { width: Number.MAX_SAFE_INTEGER };

describe("a plan in the terminal", () => {
  it("shows the steps, the point of no return, what follows from the stop, and how to have exactly this", () => {
    expect(accepts(planSchema, plan)).toBe(true);
    expect(renderPlan(plan, wide)).toEqual([
      "migrate ledger harbor-a → harbor-b  (strategy give-up)",
      "  ✔ nothing speaks against it",
      "",
      "steps",
      "   1 preflight  at most  1 min 00 s",
      "   2 stop       at most  1 min 35 s  taken back in 3 min 20 s",
      "   3 commit     at most     30.00 s  ┃ point of no return",
      "  3 min 05 s if every step takes all of its time; the last move was 2.54 s of downtime",
      "",
      "if the stop is",
      "  graceful, proven: the lease passes on",
      "  forced, proven: the lease passes on behind the fence, with possible loss",
      "  unknown: taken back: the stop is unknown, not proven",
      "",
      `plan ${hash}`,
      `  baton migrate ledger --to harbor-b --strategy give-up --plan ${hash}`,
    ]);
  });

  it("says what blocks it, and then not how to run it", () => {
    const findings = [finding("blocking", "a"), finding("warning", "b"), finding("info", "c")];
    const lines = renderPlan({ ...plan, findings }, wide);
    expect(lines.slice(1, 5)).toEqual([
      "  ✖ a: what was seen of a, which is told in a sentence of some length",
      "      that it would go wrong",
      "      → mend it",
      "  ! b: what was seen of b, which is told in a sentence of some length",
    ]);
    expect(lines).toContain("  1 check blocks it, 1 warning, 1 good to know");
    expect(lines.at(-1)).toBe(`plan ${hash}`);
  });

  it.each([80, 120, 40])(
    "keeps to %i columns but for what is to be copied, with and without colours",
    (width) => {
      const findings = [finding("blocking", "a"), finding("warning", "b")];
      const lines = renderPlan({ ...plan, findings, cold: true }, { width, paint: colored });
      for (const line of lines.map(stripVTControlCharacters))
        if (!line.includes(hash)) expect(line.length).toBeLessThanOrEqual(width);
      expect(lines.map(stripVTControlCharacters)).toEqual(
        renderPlan({ ...plan, findings, cold: true }, { width }),
      );
    },
  );

  it("shows an operation in place, and nothing of a terminal's own from what an application said", () => {
    const inPlace: Plan = { ...plan, kind: "stop", to: null, handover: [], expectedDowntimeMs: null };
    const said = { ...finding("info", "x"), detail: "\u001b[2Jevil\nline" };
    const lines = renderPlan({ ...inPlace, findings: [said] }, wide);
    expect(lines[0]).toBe("stop ledger harbor-a  (strategy give-up)");
    expect(lines.join("\n")).not.toContain("\u001b");
    expect(lines.at(-1)).toBe(`  baton stop ledger --strategy give-up --plan ${hash}`);
    const first: Plan = { ...inPlace, kind: "deploy", from: null, to: "harbor-b", strategy: null };
    expect(renderPlan(first, wide)[0]).toBe("deploy ledger → harbor-b");
  });
});
