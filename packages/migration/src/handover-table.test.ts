import { receiptSchema } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { decideHandover } from "./handover-table.ts";

const outcomes = receiptSchema.entries.outcome.options;
const classes = receiptSchema.entries.evidenceClass.options;
const witnesses = ["running", "terminated", "unknown"] as const;

describe("the handover table without a fence", () => {
  for (const outcome of outcomes)
    for (const evidenceClass of classes)
      for (const witness of witnesses) {
        const passes =
          (outcome === "graceful" || outcome === "never-started") &&
          evidenceClass === "proven" &&
          witness === "terminated";
        it(`${passes ? "passes" : "refuses"} ${outcome}, ${evidenceClass}, witness ${witness}`, () => {
          const decision = decideHandover({ outcome, evidenceClass, witness });
          expect(decision.kind).toBe(passes ? "pass" : "refuse");
          if (decision.kind === "refuse") expect(decision.reason).not.toBe("");
        });
      }
});
