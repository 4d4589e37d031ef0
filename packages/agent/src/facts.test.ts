import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type OperationRecord, changeOperation, noFacts, withOperation } from "./facts.ts";

const record = (key: string, fields: Partial<OperationRecord> = {}): OperationRecord => ({
  key,
  kind: "stop",
  operation: "op-1",
  epoch: 1,
  run: null,
  grant: null,
  receivedAt: "2026-01-01T00:00:00.000Z",
  deadlineMs: 1_000,
  late: false,
  progress: { state: "receipt" },
  confirmation: "confirmed",
  copy: "bucket",
  ...fields,
});

describe("withOperation", () => {
  it("forgets the oldest of those that are over, and never one that is open or untold", () => {
    const kind = fc.constantFrom<Partial<OperationRecord>>(
      {},
      {},
      {},
      { progress: { state: "open" } },
      { confirmation: "pending" },
      { copy: "pending" },
      { copy: "none", confirmation: "none" },
    );
    fc.assert(
      fc.property(fc.array(kind, { minLength: 600, maxLength: 1_500 }), (kinds) => {
        let facts = noFacts;
        kinds.forEach((fields, n) => (facts = withOperation(facts, record(`key-${n}`, fields))));
        const kept = new Set(Object.keys(facts.operations));
        const isUntold = (fields: Partial<OperationRecord> | undefined): boolean =>
          fields?.progress !== undefined || fields?.confirmation === "pending" || fields?.copy === "pending";
        kinds.forEach((fields, n) => {
          if (isUntold(fields) || n >= kinds.length - 256) expect(kept.has(`key-${n}`)).toBe(true);
        });
        expect(kept.size).toBeLessThanOrEqual(512 + kinds.filter(isUntold).length);
      }),
      { numRuns: 20 },
    );
  });

  it("changes one that is there in place", () => {
    const facts = withOperation(withOperation(noFacts, record("a")), record("b"));
    const changed = changeOperation(facts, "a", { confirmation: "refused" });
    expect(Object.keys(changed.operations)).toEqual(["a", "b"]);
    expect(changed.operations["a"]).toMatchObject({ confirmation: "refused" });
  });
});
