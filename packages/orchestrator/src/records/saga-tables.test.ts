import { describe, expect, it } from "vitest";
import { knownSagas, ownTable, sagaOf, tableOf } from "./saga-tables.ts";

const row = { id: "op-1", kind: "migrate", cold: false, of_stopped: false, saga: null } as const;

describe("the table of an operation", () => {
  it("is the one that it began with", () => {
    expect(ownTable({ ...row, saga: "migrate-cold@1" })).toBe(tableOf({ kind: "migrate", cold: true }));
  });

  it("is the first of its kind where the version that began it knew one of each", () => {
    expect(sagaOf(row)).toBe("migrate@1");
    expect(sagaOf({ ...row, cold: true })).toBe("migrate-cold@1");
    expect(sagaOf({ ...row, kind: "delete", of_stopped: true })).toBe("delete-stopped@1");
  });

  it("is never another one in its place", () => {
    expect(() => ownTable({ ...row, saga: "migrate@99" })).toThrow(
      /its steps are migrate@99, which this version/,
    );
  });

  it("is known for whatever may begin now", () => {
    for (const kind of ["deploy", "migrate", "stop", "start", "delete"] as const)
      for (const [cold, ofStopped] of [
        [false, false],
        [true, true],
      ] as const)
        expect(knownSagas).toContain(tableOf({ kind, cold }, ofStopped).name);
  });
});
