import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { DevStore, StoreKey } from "@baton/dev-store";
import { startDevStore } from "@baton/dev-store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LedgerCheck } from "../checker.ts";
import { checkLedger, findOverlaps } from "../checker.ts";
import { readRecordFile } from "../record-file.ts";
import { readLedgerFromStore } from "../store-reader.ts";
import type { Writer } from "../writer.ts";
import { startWriter } from "../writer.ts";

const MAIN = join(import.meta.dirname, "main.ts");
const BUCKET = "data";
const PREFIX = "ledger/";

const storeKey = (accessKeyId: string): StoreKey => ({
  accessKeyId,
  secretAccessKey: `secret of ${accessKeyId}`,
  allow: [{ bucket: BUCKET, prefix: PREFIX, write: true }],
});
const keys = { buckets: [BUCKET], keys: [storeKey("key-a"), storeKey("key-b")] };

type Application = { readonly base: string; readonly child: ChildProcess; readonly output: () => string };

let directory: string;
let store: DevStore;
let children: ChildProcess[];
let writers: Writer[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ledger-main-"));
  store = await startDevStore({ directory: join(directory, "store"), keys });
  children = [];
  writers = [];
});

afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  await Promise.all(writers.map((writer) => writer.stop()));
  await store.close();
  await rm(directory, { recursive: true });
});

/** Starts the program without waiting for it. */
function launch(key: string, env: Readonly<Record<string, string>> = {}): Omit<Application, "base"> {
  const child = spawn(process.execPath, [MAIN], {
    env: {
      PORT: "0",
      AWS_ENDPOINT_URL_S3: store.endpoint,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: key,
      AWS_SECRET_ACCESS_KEY: `secret of ${key}`,
      BATON_BUCKET: BUCKET,
      BATON_PREFIX: PREFIX,
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return { child, output: () => output };
}

async function startApplication(key: string, env?: Readonly<Record<string, string>>): Promise<Application> {
  const { child, output } = launch(key, env);
  await until(() => output().includes('"ready"') || child.exitCode !== null);
  const port = /"event":"ready".*"port":(\d+)/.exec(output())?.[1];
  if (port === undefined) throw new Error(`cannot start the ledger: ${output()}`);
  return { base: `http://127.0.0.1:${port}`, child, output };
}

function startTestWriter(route: () => Promise<string | null>, stopDeadlineMs?: number): Writer {
  const writer = startWriter({ route, recordFile: join(directory, "record.jsonl"), stopDeadlineMs });
  writers.push(writer);
  return writer;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<{ code: unknown; ms: number }> {
  const begun = performance.now();
  const exited = once(child, "exit", { signal: AbortSignal.timeout(10_000) });
  child.kill(signal);
  const [code] = (await exited) as [number | null];
  return { code, ms: performance.now() - begun };
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error("cannot wait longer: 10 s are over");
    await delay(10);
  }
}

async function post(base: string, body: unknown): Promise<{ status: number; body: unknown }> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${base}/entries`, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
}

async function readStats(base: string): Promise<{ entries: number; unflushed: number; flushes: number }> {
  const answer = await fetch(`${base}/stats`);
  return (await answer.json()) as { entries: number; unflushed: number; flushes: number };
}

/** Two applications behind one route, the first ended by the signal in the middle of the load. */
async function moveUnderLoad(
  signal: NodeJS.Signals,
  env: Readonly<Record<string, string>> = {},
): Promise<{
  readonly check: LedgerCheck;
  readonly overlapping: number;
  readonly unflushedBefore: number;
  readonly end: { code: unknown; ms: number };
}> {
  const source = await startApplication("key-a", {
    FLUSH_INTERVAL_MS: "300",
    DIRTY_EXPIRE_MS: "500",
    ...env,
  });
  let route = source.base;
  const writer = startTestWriter(async () => route);
  await until(async () => (await readStats(source.base)).flushes >= 2);
  const { unflushed: unflushedBefore } = await readStats(source.base);
  const ended = await end(source.child, signal);
  const target = await startApplication("key-b", env);
  route = target.base;
  await until(() => writer.firstAcknowledgedBy(target.base) !== null);
  await writer.stop();
  expect((await end(target.child, "SIGTERM")).code).toBe(0);

  const acknowledgedIds = (await readRecordFile(join(directory, "record.jsonl"))).map(({ id }) => id);
  const stored = await readLedgerFromStore({
    directory: join(directory, "store"),
    bucket: BUCKET,
    prefix: PREFIX,
  });
  expect(new Set(stored.commits.map(({ accessKeyId }) => accessKeyId))).toEqual(new Set(["key-a", "key-b"]));
  return {
    check: checkLedger({ acknowledgedIds, segments: stored.segments }),
    overlapping: findOverlaps({ ...stored, strict: false }).overlapping.length,
    unflushedBefore,
    end: ended,
  };
}

describe("ledger under load", () => {
  it("loses nothing by a graceful stop", async () => {
    const { check, overlapping, unflushedBefore, end: ended } = await moveUnderLoad("SIGTERM");
    expect(check).toMatchObject({ lost: [], duplicated: [] });
    expect(check.acknowledged).toBeGreaterThan(200);
    expect(unflushedBefore).toBeGreaterThan(50);
    expect(overlapping).toBe(0);
    expect(ended.code).toBe(0);
  });

  it.each([1, 2, 3])("loses acknowledged entries by a hard kill, run %i", async () => {
    const { check, unflushedBefore } = await moveUnderLoad("SIGKILL");
    expect(unflushedBefore).toBeGreaterThan(50);
    expect(check.lost.length).toBeGreaterThan(50);
    expect(check.duplicated).toEqual([]);
  });

  it("loses nothing by a hard kill when it acknowledges only what is in the bucket", async () => {
    const { check, overlapping } = await moveUnderLoad("SIGKILL", { ACKNOWLEDGE: "durable" });
    expect(check).toMatchObject({ lost: [], duplicated: [] });
    expect(check.acknowledged).toBeGreaterThan(10);
    expect(overlapping).toBe(0);
  });

  it("writes a thousand unflushed entries before it exits", async () => {
    const application = await startApplication("key-a", { FLUSH_INTERVAL_MS: "60000" });
    const writer = startWriter({
      route: async () => application.base,
      recordFile: join(directory, "record.jsonl"),
      ratePerSecond: 2_000,
      stopDeadlineMs: 1,
    });
    writers.push(writer);
    await until(() => writer.acknowledged() >= 1_000);
    expect((await readStats(application.base)).unflushed).toBeGreaterThanOrEqual(1_000);
    expect((await end(application.child, "SIGTERM")).code).toBe(0);
    const acknowledgedIds = (await readRecordFile(join(directory, "record.jsonl"))).map(({ id }) => id);
    const { segments } = await readLedgerFromStore({
      directory: join(directory, "store"),
      bucket: BUCKET,
      prefix: PREFIX,
    });
    expect(checkLedger({ acknowledgedIds, segments })).toMatchObject({ lost: [], duplicated: [] });
  });
});

describe("ledger", () => {
  it("acknowledges an entry before it is durable, and only once", async () => {
    const { base } = await startApplication("key-a");
    expect(await post(base, { id: "a", payload: "one" })).toEqual({
      status: 201,
      body: { id: "a", position: 1 },
    });
    expect(await post(base, { id: "a", payload: "two" })).toEqual({
      status: 200,
      body: { id: "a", position: 1 },
    });
    expect(await (await fetch(`${base}/entries/a`)).json()).toEqual({
      id: "a",
      position: 1,
      payload: "one",
    });
    expect(await readStats(base)).toMatchObject({ entries: 1, unflushed: 1, flushes: 0 });
    expect(store.log()).toEqual([]);
  });

  it("refuses what is not an entry", async () => {
    const { base } = await startApplication("key-a");
    expect(await post(base, { id: 7 })).toMatchObject({ status: 400 });
    expect((await fetch(`${base}/entries/unknown`)).status).toBe(404);
    expect((await readStats(base)).entries).toBe(0);
  });

  it("rebuilds its state from the bucket and goes on behind the last position", async () => {
    const first = await startApplication("key-a");
    await post(first.base, { id: "a", payload: "one" });
    await post(first.base, { id: "b", payload: "two" });
    expect((await end(first.child, "SIGTERM")).code).toBe(0);
    const second = await startApplication("key-b");
    expect((await fetch(`${second.base}/readyz`)).status).toBe(200);
    expect(await post(second.base, { id: "b", payload: "again" })).toEqual({
      status: 200,
      body: { id: "b", position: 2 },
    });
    expect(await post(second.base, { id: "c", payload: "three" })).toEqual({
      status: 201,
      body: { id: "c", position: 3 },
    });
    expect((await readStats(second.base)).unflushed).toBe(1);
  });

  it("writes a canary with its own credentials, and says when it cannot", async () => {
    const { base } = await startApplication("key-a");
    expect((await fetch(`${base}/canary`, { method: "POST" })).status).toBe(200);
    expect(store.log()).toMatchObject([{ key: "ledger/canary", accessKeyId: "key-a" }]);
    await store.close();
    expect((await fetch(`${base}/canary`, { method: "POST" })).status).toBe(503);
    store = await startDevStore({ directory: join(directory, "store"), keys });
  });
});

describe("ledger at odds with its store", () => {
  it("acknowledges nothing that is not in the bucket, not even what it has in memory already, when told so", async () => {
    const { base, child } = await startApplication("key-a", { ACKNOWLEDGE: "durable" });
    const { port } = new URL(store.endpoint);
    await store.close();
    expect(await post(base, { id: "a", payload: "one" })).toMatchObject({ status: 503 });
    expect(await post(base, { id: "a", payload: "one" })).toMatchObject({ status: 503 });
    store = await startDevStore({ directory: join(directory, "store"), keys, port: Number(port) });
    expect(await post(base, { id: "a", payload: "one" })).toMatchObject({ status: 200 });
    expect(store.log()).toHaveLength(1);
    expect((await end(child, "SIGTERM")).code).toBe(0);
  });

  it("exits 1 when the last flush cannot be done within its deadline", async () => {
    const { base, child, output } = await startApplication("key-a");
    await post(base, { id: "a", payload: "one" });
    await store.close();
    const { code, ms } = await end(child, "SIGTERM");
    expect(code).toBe(1);
    expect(ms).toBeGreaterThan(4_900);
    expect(output()).toContain("cannot write 1 acknowledged entries within 5000 ms");
    store = await startDevStore({ directory: join(directory, "store"), keys });
  });

  it("exits 0 when the store comes back before that deadline", async () => {
    const { base, child } = await startApplication("key-a");
    await post(base, { id: "a", payload: "one" });
    const { port } = new URL(store.endpoint);
    await store.close();
    const ended = end(child, "SIGTERM");
    await until(() =>
      fetch(base).then(
        () => false,
        () => true,
      ),
    );
    store = await startDevStore({ directory: join(directory, "store"), keys, port: Number(port) });
    expect((await ended).code).toBe(0);
    expect(store.log()).toHaveLength(1);
  });

  it.each([
    ["wrong keys", { AWS_SECRET_ACCESS_KEY: "another" }, 1, /^cannot rebuild .*SignatureDoesNotMatch.*\n$/],
    ["a bucket that is not there", { BATON_BUCKET: "other" }, 1, /^cannot rebuild .*NoSuchBucket.*\n$/],
    ["a wrong setting", { BATON_PREFIX: "ledger" }, 2, /^cannot start the ledger: BATON_PREFIX must .*\n$/],
  ])("ends with one clear line for %s", async (_name, env, expectedCode, message) => {
    const { child, output } = launch("key-a", env);
    const [code] = (await once(child, "close", { signal: AbortSignal.timeout(10_000) })) as [number];
    expect(code).toBe(expectedCode);
    expect(output()).toMatch(message);
  });
});
