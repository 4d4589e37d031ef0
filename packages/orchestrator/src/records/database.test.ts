import { copyFile, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { newDeploymentId } from "@baton/protocol";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type RecordsBed, migrations, openRecordsBed } from "../fixtures/records-bed.ts";
import { openDatabase } from "./database.ts";

let bed: RecordsBed;
beforeAll(async () => {
  bed = await openRecordsBed();
});
afterAll(() => bed.end());

describe("the records", () => {
  it("are migrated once, also by those who open a fresh database at the same time", async () => {
    await sql`create database fresh`.execute(bed.database);
    const url = new URL(bed.url);
    url.pathname = "/fresh";
    const opened = await Promise.all([1, 2, 3, 4].map(() => openDatabase(url.href, migrations)));
    opened.push(await openDatabase(url.href, migrations));
    const seen = await Promise.all(
      opened.map((database) => database.selectFrom("installation").select("id").execute()),
    );
    expect(new Set(seen.flat().map(({ id }) => id)).size).toBe(1);
    const applied = await sql<{ name: string }>`select name from migrations`.execute(bed.database);
    expect(applied.rows.map(({ name }) => name)).toContain("0001-records.sql");
    await Promise.all(opened.map((database) => database.destroy()));
  });

  it("keep a migration that fails from leaving anything behind", async () => {
    const directory = await mkdtemp(join(tmpdir(), "baton-migrations-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, "0002-half.sql"), "create table half (n int); select 1 / 0;");
    const broken = pathToFileURL(`${directory}/`);
    await expect(openDatabase(bed.url, broken)).rejects.toMatchObject({ code: "database-unavailable" });
    await expect(sql`select * from half`.execute(bed.database)).rejects.toThrow("does not exist");
    await (await openDatabase(bed.url, migrations)).destroy();
  });

  it("of a fence from before there were databases are of a key", async () => {
    const directory = await mkdtemp(join(tmpdir(), "baton-migrations-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    for (const name of (await readdir(migrations)).filter((file) => file < "0004"))
      await copyFile(new URL(name, migrations), join(directory, name));
    await sql`create database older`.execute(bed.database);
    const url = new URL(bed.url);
    url.pathname = "/older";
    const before = await openDatabase(url.href, pathToFileURL(`${directory}/`));
    await sql`insert into clusters values ('a', '{}')`.execute(before);
    await sql`insert into applications (name, manifest) values ('ledger', '{}')`.execute(before);
    await sql`insert into deployments values ('d', 'ledger', '{}', '{}')`.execute(before);
    await sql`insert into placements (id, application, deployment, cluster) values ('p', 'ledger', 'd', 'a')`.execute(
      before,
    );
    for (const [id, fence] of [
      ["fenced", '{"identity":"key"}'],
      ["plain", null],
    ])
      await sql`insert into operations (id, kind, application, deployment, target, to_cluster, known_epoch, ledger, state, fence)
        values (${id}, 'migrate', 'ledger', 'd', 'p', 'a', 0, '{}', 'committed', ${fence}::jsonb)`.execute(
        before,
      );
    await before.destroy();
    const after = await openDatabase(url.href, migrations);
    const read = sql`select id, fence from operations order by id`.execute(after);
    expect((await read).rows).toEqual([
      { id: "fenced", fence: { key: { identity: "key" }, role: null } },
      { id: "plain", fence: null },
    ]);
    expect((await sql`select database from deployments`.execute(after)).rows).toEqual([{ database: null }]);
    await after.destroy();
  });

  it("say that the database does not answer, and never its URL", async () => {
    const url = new URL(bed.url);
    url.password = "hunter2";
    await expect(openDatabase(url.href, migrations)).rejects.toMatchObject({
      code: "database-unavailable",
      message: expect.stringContaining("(28P01)"),
    });
    url.port = "1";
    await expect(openDatabase(url.href, migrations)).rejects.toMatchObject({
      message: expect.not.stringContaining("hunter2"),
    });
    await expect(openDatabase("postgres:hunter2@[", migrations)).rejects.toSatisfy(
      (error) => !JSON.stringify(error, Object.getOwnPropertyNames(error)).includes("hunter2"),
    );
  });
});

describe("a deployment", () => {
  it("is kept as it is for ever", async () => {
    const { application } = await bed.deployed();
    const rows = () =>
      bed.database.selectFrom("deployments").selectAll().where("application", "=", application).execute();
    const before = await rows();
    const { database } = bed;
    const attempts = [
      () => database.updateTable("deployments").set({ id: newDeploymentId() }).execute(),
      () => database.updateTable("deployments").set({ manifest: "{}" }).execute(),
      () => database.deleteFrom("deployments").execute(),
      () => sql`truncate deployments cascade`.execute(database),
    ];
    for (const attempt of attempts) await expect(attempt()).rejects.toThrow("deployments are immutable");
    expect(await rows()).toEqual(before);
    expect(before).toHaveLength(1);
  });
});
