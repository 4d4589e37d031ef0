import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { lastDecision, recordDecision } from "./decisions.ts";

let bed: RecordsBed;
beforeAll(async () => {
  bed = await openRecordsBed();
});
afterAll(() => bed.end());

const open = async () => {
  const { application } = await bed.deployed();
  return (await bed.insert({ kind: "migrate", application, to: "harbor-b" })).id;
};
const decide = (id: string, kind: "abort" | "resume" | "override", by = "ada") =>
  recordDecision(bed.database, id, { kind, reason: "because" }, by);
const reason = { code: "internal", detail: "stuck" };

describe("an abort", () => {
  it("that is on record is never overtaken by the pivot", async () => {
    const id = await open();
    expect(await decide(id, "abort")).toMatchObject({ halt: null, decision: { by: "ada", kind: "abort" } });
    expect(await bed.operations.commit(id, 2)).toBe(false);
    expect(await bed.operations.abortOf(id)).toMatchObject({ by: "ada", reason: "because" });
    await expect(decide(id, "abort")).rejects.toMatchObject({ code: "not-halted" });
  });

  it("is refused once the pivot has happened, and once it is taken back already", async () => {
    const committed = await open();
    expect(await bed.operations.commit(committed, 2)).toBe(true);
    await expect(decide(committed, "abort")).rejects.toMatchObject({ code: "past-pivot" });
    expect(await bed.operations.abortOf(committed)).toBeNull();

    const back = await open();
    await bed.operations.beginRollback(back, reason);
    await expect(decide(back, "abort")).rejects.toMatchObject({ code: "not-halted" });
    await bed.operations.end(back, { state: "rolled-back", reason });
    await expect(decide(back, "abort")).rejects.toMatchObject({ code: "not-halted" });
  });

  it("and the pivot exclude each other, whoever comes first", async () => {
    for (let n = 0; n < 5; n += 1) {
      const id = await open();
      const [wins, isAborted] = await Promise.all([
        bed.operations.commit(id, 2),
        decide(id, "abort").then(
          () => true,
          () => false,
        ),
      ]);
      expect(wins).toBe(!isAborted);
    }
  });
});

describe("a halt", () => {
  it("is decided once, and the next one anew; the operation goes on where it was going", async () => {
    const id = await open();
    await expect(decide(id, "resume")).rejects.toMatchObject({ code: "not-halted" });
    await bed.operations.beginRollback(id, reason);
    await bed.operations.halt(id, 1, "stuck");
    expect(await bed.operations.find(id)).toMatchObject({ state: "halted", course: "back", reason: "stuck" });
    await expect(decide(id, "abort")).rejects.toMatchObject({ code: "not-halted" });
    expect(await decide(id, "resume")).toMatchObject({ halt: 1 });
    await expect(decide(id, "override")).rejects.toMatchObject({ code: "not-halted" });
    await bed.operations.goOn(id);
    expect(await bed.operations.find(id)).toMatchObject({ state: "open", course: "back", endedAt: null });
    await bed.operations.halt(id, 2, "stuck again");
    expect(await decide(id, "override", "grace")).toMatchObject({ halt: 2 });
    expect(await lastDecision(bed.database, id)).toMatchObject({ kind: "override", by: "grace" });
    const { decisions } = (await bed.operations.find(id)) ?? { decisions: [] };
    expect(decisions.map(({ kind, by }) => [kind, by])).toEqual([
      ["resume", "ada"],
      ["override", "grace"],
    ]);
  });

  it("that ended its life is decided anew, though the one before it was decided", async () => {
    const id = await open();
    await bed.operations.halt(id, 1, "stuck");
    await decide(id, "resume");
    await bed.operations.goOn(id);
    await bed.operations.end(id, { state: "halted", reason });
    expect(await decide(id, "resume")).toMatchObject({ decision: { kind: "resume" } });
    await expect(decide(id, "resume")).rejects.toMatchObject({ code: "not-halted" });
  });

  it("past the pivot can be resumed only", async () => {
    const id = await open();
    await bed.operations.commit(id, 2);
    await bed.operations.halt(id, 1, "stuck");
    await expect(decide(id, "abort")).rejects.toMatchObject({ code: "past-pivot" });
    await expect(decide(id, "override")).rejects.toMatchObject({ code: "not-halted" });
    expect(await decide(id, "resume")).toMatchObject({ halt: 1 });
    await bed.operations.goOn(id);
    expect(await bed.operations.find(id)).toMatchObject({ course: "past-pivot" });
  });
});

it("no decision is changed or removed by any statement", async () => {
  const id = await open();
  await decide(id, "abort");
  for (const statement of [
    "update decisions set reason = 'x'",
    "delete from decisions",
    "truncate decisions",
  ])
    await expect(sql.raw(statement).execute(bed.database)).rejects.toThrow(/kept as they were made/);
});

it("there is nothing to decide of an operation that is not there", async () => {
  await expect(decide("op-00000000000000000000", "abort")).rejects.toMatchObject({
    code: "unknown-operation",
  });
});
