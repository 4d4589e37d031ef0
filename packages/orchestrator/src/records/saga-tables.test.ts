import { describe, expect, it } from "vitest";
import { knownSagas, ownTable, sagaOf, tableOf } from "./saga-tables.ts";

/** A table that was ever released keeps its steps; what is to be otherwise gets the next name. */
const released: Readonly<Record<string, string>> = {
  "deploy@1": "preflight claim prepare handOver start verify commit!",
  "start@1": "preflight handOver start verify commit!",
  "stop@1": "preflight stop fence release commit!",
  "delete@1": "preflight stop fence release commit! retire",
  "delete-stopped@1": "preflight commit! retire",
  "migrate@1": "preflight prepare stop fence handOver start verify commit! retire",
  "migrate-cold@1": "preflight stop fence prepare handOver start verify commit! retire",
};

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

  it.each(Object.entries(released))("%s keeps its steps and their order", (saga, steps) => {
    const { steps: own } = ownTable({ ...row, saga });
    expect(own.map(({ name, pivot }) => (pivot ? `${name}!` : name)).join(" ")).toBe(steps);
  });

  it("is a released one, or the next", () => {
    expect(knownSagas).toEqual(Object.keys(released).toSorted());
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
