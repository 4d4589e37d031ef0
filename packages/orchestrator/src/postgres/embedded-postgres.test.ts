import { chmod, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { countRows, createRows, createTestBed, query } from "./test-bed.fixture.ts";
import type { TestBed } from "./test-bed.fixture.ts";

const rootOnly = {
  skip: process.getuid?.() !== 0,
  meta: { needs: { part: "root", reason: "the tests run as an ordinary user" } },
};

let bed: TestBed;

beforeEach(async () => {
  bed = await createTestBed();
});

afterEach(() => bed.end());

test("keeps rows over a stop and a second start", async () => {
  const first = await bed.start();
  expect(first.attached).toBe(false);
  expect(first.url).toMatch(/^postgresql:\/\/baton:[\w-]{43}@127\.0\.0\.1:\d+\/baton$/);
  await query(first.url, createRows);
  await first.stop();
  expect(await bed.processes()).toEqual([]);

  const second = await bed.start();
  expect(second.attached).toBe(false);
  expect(await query(second.url, countRows)).toEqual([{ n: 1000 }]);
  expect(new URL(second.url).port).toBe((await readFile(join(bed.directory, "port"), "utf8")).trim());
});

test("has UTF8, locale C, fsync, SCRAM and only the loopback address", async () => {
  const { url } = await bed.start();
  const sql =
    "select current_setting('server_encoding') as encoding, current_setting('fsync') as fsync, " +
    "current_setting('listen_addresses') as addresses, current_setting('unix_socket_directories') as sockets, " +
    "(select datcollate from pg_database where datname = 'baton') as collate, " +
    "(select array_agg(distinct auth_method) from pg_hba_file_rules) as auth";
  expect(await query(url, sql)).toEqual([
    {
      encoding: "UTF8",
      fsync: "on",
      addresses: "127.0.0.1",
      sockets: "",
      collate: "C",
      auth: ["scram-sha-256"],
    },
  ]);
  const wrong = url.replace(/:[\w-]{43}@/, ":wrong@");
  await expect(query(wrong, "select 1")).rejects.toThrow("password authentication failed");
});

test("gives one server to two starts at once", async () => {
  const both = await Promise.all([bed.start(), bed.start()]);
  expect(both.filter((server) => server.attached)).toHaveLength(1);
  expect(both[0].url).toBe(both[1].url);
  await query(both[0].url, createRows);
  expect(await query(both[1].url, countRows)).toEqual([{ n: 1000 }]);
});

test("shows the last lines of the log when the server ends early", async () => {
  const first = await bed.start();
  await first.stop();
  await writeFile(join(bed.directory, "data", "postgresql.conf"), "work_mem = nonsense\n");
  await expect(bed.start()).rejects.toThrow(/ended early \(exit code 1\)[^]*work_mem/);
});

test("shows the password in no command line and no error", async () => {
  const server = await bed.start();
  const password = new URL(server.url).password;
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const commandLines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
  );
  expect(commandLines.join("\n")).toContain(bed.directory);
  expect(commandLines.join("\n")).not.toContain(password);
  const other = "x".repeat(43);
  await writeFile(join(bed.directory, "password"), other);
  const error: unknown = await bed.start().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "database-unavailable", message: expect.stringContaining("password") });
  expect(`${String(error)} ${JSON.stringify(error)} ${String((error as Error).cause)}`).not.toContain(other);
});

test("refuses a data directory whose password is missing", async () => {
  await (await bed.start()).stop();
  await rm(join(bed.directory, "password"));
  await expect(bed.start()).rejects.toThrow("the file is missing");
});

test("names the directory that keeps the server's user out", rootOnly, async () => {
  await chmod(bed.directory, 0o700);
  await expect(bed.start()).rejects.toThrow(
    `may not enter ${bed.directory}; choose another --state directory`,
  );
});
