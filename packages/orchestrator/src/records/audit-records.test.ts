import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { AuditRecords } from "./audit-records.ts";

let bed: RecordsBed;
let audit: AuditRecords;
beforeAll(async () => {
  bed = await openRecordsBed();
  audit = new AuditRecords(bed.database);
});
afterAll(() => bed.end());

const asked = (request: string) =>
  ({ request, who: "ci", role: "operator", what: "POST /v1/operations", subject: "ledger" }) as const;
const done = { status: 202, code: null, made: "op-1" };

describe("the audit trail", () => {
  it("says what was asked, and what came of it once that is known", async () => {
    await audit.begin(asked("first"));
    expect(await audit.list({ limit: 1 })).toMatchObject([{ ...asked("first"), outcome: null }]);
    await audit.end("first", done);
    expect(await audit.list({ limit: 1 })).toMatchObject([{ ...asked("first"), outcome: done }]);
  });

  it("has one entry for a request, and one outcome, and none of what nobody asked for", async () => {
    await audit.begin(asked("second"));
    await audit.end("second", done);
    await expect(audit.begin(asked("second"))).rejects.toThrow("audit_request_key");
    await expect(audit.end("second", { ...done, status: 500 })).rejects.toThrow("audit_outcomes_pkey");
    await expect(audit.end("never", done)).rejects.toThrow("foreign key");
  });

  it("is read from the newest on, page by page", async () => {
    for (const request of ["a", "b", "c", "d", "e"]) await audit.begin(asked(request));
    const pages: string[][] = [];
    let before: number | undefined;
    while (pages.length < 3) {
      const page = await audit.list({ limit: 2, before });
      pages.push(page.map(({ request }) => request));
      before = page.at(-1)?.id;
    }
    expect(pages).toEqual([
      ["e", "d"],
      ["c", "b"],
      ["a", "second"],
    ]);
  });

  it.each(["audit", "audit_outcomes"])("is only added to: %s", async (name) => {
    const table = sql.table(name);
    const rows = async () => (await sql`select * from ${table} order by request`.execute(bed.database)).rows;
    const before = await rows();
    for (const attempt of [
      sql`update ${table} set request = 'other'`,
      sql`update ${table} set at = now()`,
      sql`delete from ${table}`,
      sql`truncate ${table} cascade`,
    ])
      await expect(attempt.execute(bed.database)).rejects.toThrow("the audit trail is only added to");
    expect(await rows()).toEqual(before);
    expect(before.length).toBeGreaterThan(0);
  });
});
