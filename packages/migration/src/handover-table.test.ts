import { receiptSchema } from "@baton/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HandoverEvidence, decideHandover } from "./handover-table.ts";

const outcomes = receiptSchema.entries.outcome.options;
const classes = receiptSchema.entries.evidenceClass.options;
const witnesses = ["running", "terminated", "unknown"] as const;
const fences = [null, "credentials", "gateway"] as const;
const strategies = ["migrate", "failover"] as const;
const overrides = [null, "somebody"] as const;

const all: readonly HandoverEvidence[] = outcomes.flatMap((outcome) =>
  classes.flatMap((evidenceClass) =>
    witnesses.flatMap((witness) =>
      fences.flatMap((fence) =>
        strategies.flatMap((strategy) =>
          overrides.map((override) => ({ outcome, evidenceClass, witness, fence, strategy, override })),
        ),
      ),
    ),
  ),
);

/** The rows of DESIGN.md, as they stand there: what each is about, and what it needs. */
const rows: readonly {
  readonly row: string;
  readonly about: (evidence: HandoverEvidence) => boolean;
  readonly needs: (evidence: HandoverEvidence) => boolean;
  readonly possibleLoss: boolean;
}[] = [
  {
    row: "proven, graceful, or never started: seen from outside",
    about: ({ evidenceClass, outcome }) =>
      evidenceClass === "proven" && (outcome === "graceful" || outcome === "never-started"),
    needs: ({ witness }) => witness === "terminated",
    possibleLoss: false,
  },
  {
    row: "proven, but not graceful: seen from outside, and a fence",
    about: ({ evidenceClass, outcome }) =>
      evidenceClass === "proven" && outcome !== "graceful" && outcome !== "never-started",
    needs: ({ witness, fence }) => witness === "terminated" && fence !== null,
    possibleLoss: true,
  },
  {
    row: "claimed, and said to be graceful: seen from outside, and a fence",
    about: ({ evidenceClass, outcome }) =>
      evidenceClass === "claimed" && (outcome === "graceful" || outcome === "never-started"),
    needs: ({ witness, fence }) => witness === "terminated" && fence !== null,
    possibleLoss: false,
  },
  {
    row: "claimed, and not graceful: seen from outside, and a fence",
    about: ({ evidenceClass, outcome }) =>
      evidenceClass === "claimed" && outcome !== "graceful" && outcome !== "never-started",
    needs: ({ witness, fence }) => witness === "terminated" && fence !== null,
    possibleLoss: true,
  },
  {
    row: "unknown: an override",
    about: ({ evidenceClass }) => evidenceClass === "unknown",
    needs: ({ override, witness, fence }) => override !== null && (witness !== "running" || fence !== null),
    possibleLoss: true,
  },
  {
    row: "anything: a fence and the strategy failover",
    about: () => true,
    needs: ({ fence, strategy }) => fence !== null && strategy === "failover",
    possibleLoss: true,
  },
];

const inWords = ({ outcome, evidenceClass, witness, fence, strategy, override }: HandoverEvidence): string =>
  `${outcome}, ${evidenceClass}, witness ${witness}, fence ${fence ?? "none"}, ${strategy}, override ${override ?? "none"}`;

describe("the handover table", () => {
  it("is tried with every combination", () => expect(all).toHaveLength(7 * 3 * 3 * 3 * 2 * 2));

  it.each(all.map((evidence) => [inWords(evidence), evidence] as const))("%s", (_words, evidence) => {
    const row = rows.find(({ about, needs }) => about(evidence) && needs(evidence));
    const decision = decideHandover(evidence);
    if (row !== undefined) expect(decision).toEqual({ kind: "pass", possibleLoss: row.possibleLoss });
    else {
      expect(decision.kind).toBe("refuse");
      if (decision.kind === "refuse") expect(decision.reason).toMatch(/would be needed/);
    }
  });

  it("passes nothing but the proven and seen without a fence or a person", () => {
    const passed = all.filter(
      (evidence) =>
        evidence.fence === null && evidence.override === null && decideHandover(evidence).kind === "pass",
    );
    for (const { outcome, evidenceClass, witness } of passed) {
      expect({ evidenceClass, witness }).toEqual({ evidenceClass: "proven", witness: "terminated" });
      expect(["graceful", "never-started"]).toContain(outcome);
    }
    expect(passed).toHaveLength(4);
  });

  it("never turns a pass into a refusal by more evidence", () => {
    fc.assert(
      fc.property(fc.constantFrom(...all), fc.constantFrom("credentials", "gateway"), (evidence, fence) => {
        if (decideHandover(evidence).kind !== "pass") return;
        const better: HandoverEvidence[] = [
          { ...evidence, witness: "terminated" },
          { ...evidence, override: "somebody" },
          { ...evidence, strategy: "failover" },
          { ...evidence, fence: fence as "credentials" | "gateway" },
        ];
        for (const more of better) expect(decideHandover(more).kind).toBe("pass");
      }),
    );
  });
});
