import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { openPool } from "./database.ts";

let bed: RecordsBed;
let pool: pg.Pool;
beforeAll(async () => {
  bed = await openRecordsBed();
  pool = openPool({ connectionString: bed.url, max: 1 });
});
afterAll(async () => {
  await pool.end();
  await bed.end();
});

const prepared = async (): Promise<readonly string[]> => {
  const { rows } = await pool.query<{ statement: string }>("select statement from pg_prepared_statements");
  return rows.map(({ statement }) => statement);
};

it("prepares a statement once in a session, whoever asks with which values", async () => {
  const text = "select $1::int + $2::int as sum";
  for (const n of [1, 2, 3]) expect((await pool.query(text, [n, 1])).rows).toEqual([{ sum: n + 1 }]);
  expect(await prepared()).toEqual([text]);
});

it("goes on with all columns of a table that a newer version has added one to", async () => {
  await pool.query("create table t (n int); insert into t values (1)");
  for (const columns of ["*", "t.*"]) await pool.query(`select ${columns} from t where n = $1`, [1]);
  await pool.query("alter table t add column m int");
  for (const columns of ["*", "t.*"])
    expect((await pool.query(`select ${columns} from t where n = $1`, [1])).rows).toEqual([
      { n: 1, m: null },
    ]);
});
