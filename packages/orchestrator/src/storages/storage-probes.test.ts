import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StorageManifest } from "@baton/protocol";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { scheduleProbes } from "../engine/probe-schedule.ts";
import { type RecordsBed, openRecordsBed, storageManifest } from "../fixtures/records-bed.ts";
import type { MeasureInFlight } from "../ports/measure-binding.ts";
import { inFlightSubject, probeSubject } from "../ports/probe-binding.ts";
import { ProbeRecords } from "../records/probe-records.ts";
import { StorageProbes } from "./storage-probes.ts";

/** Where nobody listens: what is tried here comes to no verdict, at once. */
const nowhere = "http://127.0.0.1:9";
const log = pino({ level: "silent" });
let bed: RecordsBed;
let records: ProbeRecords;
let directory: string;
let closing: AbortController;
let names = 0;

beforeAll(async () => {
  bed = await openRecordsBed();
  records = new ProbeRecords(bed.database);
  directory = await mkdtemp(join(tmpdir(), "baton-probes-"));
  await writeFile(
    join(directory, "key.json"),
    JSON.stringify({ accessKeyId: "K", secretAccessKey: "hunter2" }),
  );
});
afterAll(async () => {
  await rm(directory, { recursive: true });
  await bed.end();
});
beforeEach(() => {
  closing = new AbortController();
});
afterEach(() => closing.abort());

function declare(change: Partial<StorageManifest> = {}): StorageManifest {
  const key = { file: join(directory, "key.json") };
  const credentials = { control: key, data: key, dataByCluster: {} };
  return { ...storageManifest(`silo-${(names += 1)}`), endpoint: nowhere, credentials, ...change };
}
const notAsked: MeasureInFlight = () => Promise.reject(new Error("not asked for"));
const open = (measureInFlight = notAsked): StorageProbes =>
  new StorageProbes({ records, signal: closing.signal, measureInFlight, inFlightLimitMs: 7_000 });

describe("a probe", () => {
  it("that comes to no verdict is on record with its error, and without the key", async () => {
    const storage = declare();
    await expect(open().probe(storage, { thorough: true })).rejects.toMatchObject({
      code: "storage-unreachable",
    });
    const record = await records.probe(probeSubject(storage));
    expect(record).toMatchObject({ thorough: true, verdict: null, error: { code: "storage-unreachable" } });
    expect(JSON.stringify(record)).not.toContain("hunter2");
  });

  it("that waits for a silent store ends with the orchestrator, and is not on record", async () => {
    const connected = Promise.withResolvers<void>();
    const server = createServer((socket) => {
      socket.resume().on("error", () => undefined);
      connected.resolve();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const storage = declare({ endpoint: `http://127.0.0.1:${port}` });
    const probes = open();
    const probing = probes.probe(storage, { thorough: false }).catch((error: unknown) => error);
    await connected.promise;
    closing.abort(new Error("closing"));
    expect(await probing).toEqual(new Error("closing"));
    await probes.end();
    expect(await records.probe(probeSubject(storage))).toBeNull();
    // The probe's own connection ended with it.
    server.close();
    await once(server, "close");
  });

  it("is of a manifest: another endpoint, prefix or key is another subject, the order of fields is none", () => {
    const storage = declare({ clusters: { a: { endpoint: "http://a" }, b: { endpoint: "http://b" } } });
    const { subject } = probeSubject(storage);
    const reordered = Object.fromEntries(Object.entries(storage).toReversed()) as typeof storage;
    const others = { b: { endpoint: "http://b" }, a: { endpoint: "http://a" } };
    expect(probeSubject({ ...reordered, clusters: others, settleMs: 1, ifMatch: "bare" }).subject).toBe(
      subject,
    );
    const control = { file: "/other" };
    const changes: Partial<StorageManifest>[] = [
      { endpoint: "http://c" },
      { bucket: "other" },
      { prefix: "other/" },
      { otherEndpoints: ["http://c"] },
      { credentials: { ...storage.credentials, control } },
      { credentials: { ...storage.credentials, dataByCluster: { a: control } } },
    ];
    const subjects = changes.map((change) => probeSubject({ ...storage, ...change }).subject);
    expect(new Set([subject, ...subjects]).size).toBe(changes.length + 1);
    expect(inFlightSubject({ ...storage, prefix: "other/" })).toEqual(inFlightSubject(storage));
  });
});

describe("a probe for an operation", () => {
  const signal = new AbortController().signal;

  it("is on record as one of the storage, also where it comes to no verdict", async () => {
    const storage = declare();
    await expect(open().probeOn(storage, "harbor-b", signal)).rejects.toMatchObject({
      code: "storage-unreachable",
    });
    expect(await records.probe(probeSubject(storage))).toMatchObject({
      thorough: false,
      verdict: null,
      error: { code: "storage-unreachable" },
    });
  });

  it("says nothing of other clusters' keys", async () => {
    const { credentials } = declare();
    const own = { "harbor-a": { file: join(directory, "missing.json") } };
    const storage = declare({ credentials: { ...credentials, dataByCluster: own } });
    await expect(open().probeOn(storage, "harbor-b", signal)).rejects.toMatchObject({
      code: "storage-unreachable",
    });
    await expect(open().probeOn(storage, "harbor-a", signal)).rejects.toMatchObject({
      code: "secret-unavailable",
    });
    expect(await records.probe(probeSubject(storage))).toBeNull();
    const on = async (cluster: string) => (await records.probe(probeSubject(storage, cluster)))?.error?.code;
    expect([await on("harbor-a"), await on("harbor-b")]).toEqual([
      "secret-unavailable",
      "storage-unreachable",
    ]);
  });

  it("that its step has given up is not on record", async () => {
    const storage = declare();
    const over = AbortSignal.abort(new Error("the step is over"));
    await expect(open().probeOn(storage, "harbor-b", over)).rejects.toThrow("the step is over");
    expect(await records.probe(probeSubject(storage))).toBeNull();
  });
});

describe("an in-flight bound", () => {
  it("is measured at every endpoint at once, within the limit, with its own certificates", async () => {
    const storage = declare({
      otherEndpoints: ["http://127.0.0.1:10"],
      clusters: { a: { endpoint: "http://127.0.0.1:11", ca: "of a" } },
    });
    const asked: unknown[] = [];
    const all = Promise.withResolvers<void>();
    const probes = open(async ({ door, limitMs, ca }) => {
      asked.push([door.endpoint, limitMs, ca]);
      if (asked.length === 3) all.resolve();
      // One after the other would wait here for ever.
      await all.promise;
      return { endpoint: door.endpoint, ms: Number(new URL(door.endpoint).port), ended: "closed" };
    });
    await probes.measure(storage);
    expect(asked).toEqual([
      [nowhere, 7_000, undefined],
      ["http://127.0.0.1:11", 7_000, "of a"],
      ["http://127.0.0.1:10", 7_000, undefined],
    ]);
    expect(await records.inFlight(inFlightSubject(storage))).toMatchObject({ ms: 11, error: null });
  });

  it("of a store whose connection breaks is on record with why, in words", async () => {
    const storage = declare();
    const broken = Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
    const measuring = open(() => Promise.reject(broken)).measure(storage);
    await expect(measuring).rejects.toMatchObject({ code: "storage-unreachable" });
    expect((await records.inFlight(inFlightSubject(storage)))?.error?.detail).toContain(
      `${nowhere} waits for the rest of a body: there is no connection (ECONNREFUSED)`,
    );
  });

  it("that is waited for ends with the orchestrator, and is not on record", async () => {
    const storage = declare();
    const begun = Promise.withResolvers<void>();
    const probes = open(() => {
      begun.resolve();
      return new Promise(() => undefined);
    });
    const measuring = probes.measure(storage).catch((error: unknown) => error);
    await begun.promise;
    closing.abort(new Error("closing"));
    expect(await measuring).toEqual(new Error("closing"));
    await probes.end();
    expect(await records.inFlight(inFlightSubject(storage))).toBeNull();
  });
});

describe("the schedule", () => {
  it("probes and measures what is due, and not again before it is", async () => {
    const storage = declare();
    let measured = 0;
    const probes = open(async ({ door }) => {
      measured += 1;
      return { endpoint: door.endpoint, ms: 5, ended: "closed" };
    });
    let looks = 0;
    const end = scheduleProbes({
      storages: async () => {
        looks += 1;
        return [storage];
      },
      records,
      probes,
      everyMs: { probe: 50, inFlight: 3_600_000 },
      log,
      signal: closing.signal,
    });
    const count = async (): Promise<number> => {
      const rows = await bed.database
        .withTables<{ probes: { storage: string; kind: string } }>()
        .selectFrom("probes")
        .select("kind")
        .where("storage", "=", storage.name)
        .where("kind", "=", "probe")
        .execute();
      return rows.length;
    };
    await expect.poll(count, { timeout: 15_000 }).toBeGreaterThan(2);
    closing.abort();
    await end();
    expect(measured).toBe(1);
    const [probed, looked] = [await count(), looks];
    await records.isDue("probe", probeSubject(storage), { everyMs: 50, retryMs: 50 });
    expect([await count(), looks]).toEqual([probed, looked]);
  });
});
