import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { countRows, createRows, createTestBed, query } from "./test-bed.fixture.ts";
import type { TestBed } from "./test-bed.fixture.ts";

const fixture = join(import.meta.dirname, "start.fixture.ts");

let bed: TestBed;

beforeEach(async () => {
  bed = await createTestBed();
});

afterEach(() => bed.end());

async function postmasterPid(): Promise<number> {
  return Number((await readFile(join(bed.directory, "data", "postmaster.pid"), "utf8")).split("\n")[0]);
}

/** Runs the fixture until it says that the server is ready. */
async function startInOtherProcess() {
  const child = spawn(process.execPath, [fixture, bed.directory], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(createInterface(child.stdout), "line", {
    signal: AbortSignal.timeout(30_000),
  })) as [string];
  const kill = async () => {
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  };
  return { ...(JSON.parse(line) as { url: string; attached: boolean }), kill };
}

/** Fulfilled once there is an entry with this beginning (postmaster.pid: in `data`). */
async function appears(beginning: string): Promise<void> {
  const names = () => readdir(join(bed.directory, ...(beginning === "postmaster.pid" ? ["data"] : [])));
  for (const deadlineAt = Date.now() + 10_000; Date.now() < deadlineAt; await sleep(5)) {
    if ((await names().catch(() => [])).some((name) => name.startsWith(beginning))) return;
  }
  throw new Error(`${beginning} did not appear`);
}

test("attaches to the server that a killed process left behind, and stops it", async () => {
  const other = await startInOtherProcess();
  await query(other.url, createRows);
  await other.kill();

  const server = await bed.start();
  expect(server.attached).toBe(true);
  expect(server.url).toBe(other.url);
  expect(await query(server.url, countRows)).toEqual([{ n: 1000 }]);
  await server.stop();
  expect(await bed.processes()).toEqual([]);
});

test("tells when the server ends by itself, and recovers it at the next start", async () => {
  const first = await bed.start();
  await query(first.url, createRows);
  process.kill(await postmasterPid(), "SIGKILL");
  await expect(first.exited).rejects.toMatchObject({ code: "database-unavailable" });

  const second = await bed.start();
  expect(second.attached).toBe(false);
  expect(await query(second.url, countRows)).toEqual([{ n: 1000 }]);
});

test("tells when an attached server ends", async () => {
  const other = await startInOtherProcess();
  await other.kill();
  const server = await bed.start();
  process.kill(await postmasterPid(), "SIGQUIT");
  await expect(server.exited).rejects.toThrow("its process is gone");
});

test("begins anew after an interrupted creation", async () => {
  const leftOver = join(bed.directory, "initdb.1-1-0123abcd");
  await mkdir(join(leftOver, "data"), { recursive: true });
  await writeFile(join(leftOver, "data", "PG_VERSION"), "18\n");
  const server = await bed.start();
  expect(await query(server.url, "select 1 as one")).toEqual([{ one: 1 }]);
  expect((await readdir(bed.directory)).sort()).toEqual(["data", "password", "port", "postgres.log"]);
  expect((await stat(join(bed.directory, "password"))).mode & 0o777).toBe(0o600);
  expect((await stat(join(bed.directory, "data"))).mode & 0o777).toBe(0o700);
});

const moments = ["password", "initdb.", "data", "postmaster.pid"];

test("survives a kill at any moment of the first start", async () => {
  for (const moment of moments) {
    const child = spawn(process.execPath, [fixture, bed.directory], { stdio: "ignore" });
    const exit = once(child, "exit");
    await appears(moment);
    child.kill("SIGKILL");
    await exit;
  }
  const server = await bed.start();
  expect(await query(server.url, "select 1 as one")).toEqual([{ one: 1 }]);
});

test.for(moments)("ends with the signal when there is %s, leaving no process", async (moment) => {
  const controller = new AbortController();
  const starting = bed.start(controller.signal).catch((error: unknown) => error);
  await appears(moment);
  controller.abort();
  expect(await starting).toMatchObject({ code: "database-unavailable" });
  expect(await bed.processes()).toEqual([]);
});

test("starts when the pid file names a process of another kind", async () => {
  const first = await bed.start();
  const pidFile = join(bed.directory, "data", "postmaster.pid");
  const text = await readFile(pidFile, "utf8");
  await first.stop();
  await writeFile(pidFile, text.replace(/^\d+/, String(process.pid)), { mode: 0o600 });
  expect((await bed.start()).attached).toBe(false);
});
