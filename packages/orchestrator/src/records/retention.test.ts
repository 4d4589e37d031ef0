import type { Operation } from "@baton/protocol";
import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type RecordsBed, createSigner, openRecordsBed } from "../fixtures/records-bed.ts";
import { deleteOldOperations } from "./retention.ts";

let bed: RecordsBed;
beforeAll(async () => {
  bed = await openRecordsBed();
});
afterAll(() => bed.end());

let forgotten: string[];
beforeEach(() => {
  forgotten = [];
});
const rule = { days: 400, newest: 2 };
const forget = async (ids: readonly string[]) => void forgotten.push(...ids);
const clean = () => deleteOldOperations(bed.database, rule, forget);

const reason = { code: "internal", detail: "it failed" };
const age = (id: string, days: number) =>
  sql`update operations set ended_at = now() - make_interval(days => ${days}), created_at = now() - make_interval(days => ${days}) where id = ${id}`.execute(
    bed.database,
  );

/** A deployed application and migrations of it that were taken back, so many days ago. */
async function history(...days: number[]): Promise<readonly Operation[]> {
  const { application } = await bed.deployed();
  const operations: Operation[] = [];
  for (const ago of days) {
    const operation = await bed.insert({ kind: "migrate", application, to: "harbor-b" });
    await bed.operations.end(operation.id, { state: "rolled-back", reason });
    await age(operation.id, ago);
    operations.push(operation);
  }
  return operations;
}
const isThere = async ({ id }: Operation) => (await bed.operations.find(id)) !== null;

describe("old operations", () => {
  it("are deleted with their steps and receipts, and the engine forgets them", async () => {
    const [old, young] = await history(401, 399);
    if (old === undefined || young === undefined || old.target === null) throw new Error("two were made");
    const { application, id: operation, target: placement } = old;
    await bed.operations.saveReceipt(
      operation,
      await (await createSigner()).sign({ application, operation, placement }),
    );
    expect(await clean()).toBe(1);
    expect([await isThere(old), await isThere(young)]).toEqual([false, true]);
    expect(forgotten).toEqual([old.id]);
    for (const table of ["steps", "receipts"] as const)
      expect(
        await bed.database.selectFrom(table).selectAll().where("operation", "=", old.id).execute(),
      ).toEqual([]);
    expect((await bed.placements.find(placement)).id).toBe(placement);
    expect(await clean()).toBe(0);
  });

  it("stay while they are among the newest of their application", async () => {
    const [first, second, third] = await history(900, 800, 700);
    // The deployment that came first is younger than all of them here.
    expect(await clean()).toBe(2);
    expect(await Promise.all([first, second, third].map((one) => isThere(one as Operation)))).toEqual([
      false,
      false,
      true,
    ]);
  });

  it("stay when they are halted or open, or a person decided about them", async () => {
    const [decided] = await history(900, 10, 9);
    await sql`insert into decisions (operation, kind, reason, decided_by) values (${decided?.id}, 'abort', 'why', 'ada')`.execute(
      bed.database,
    );
    for (const state of ["halted", "open"]) {
      const { application } = await bed.deployed();
      const { id } = await bed.insert({ kind: "migrate", application, to: "harbor-b" });
      await age(id, 900);
      await sql`update operations set state = ${state} where id = ${id}`.execute(bed.database);
    }
    expect(await clean()).toBe(0);
  });

  it("stay when the engine cannot forget them yet", async () => {
    const [old] = await history(900, 10);
    const failing = deleteOldOperations(bed.database, rule, () => Promise.reject(new Error("not now")));
    await expect(failing).rejects.toThrow("not now");
    expect(await isThere(old as Operation)).toBe(true);
    expect(await clean()).toBe(1);
  });
});
