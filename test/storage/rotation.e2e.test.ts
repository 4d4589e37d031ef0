// P1, P2: keys are rotated under a running application: nothing is started again, its lease goes on, and no write is lost.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevStore, type StoreKey, startDevStore } from "@baton/dev-store";
import { type Harbour, ledgerProgram, openHarbour } from "@baton/example-ledger/demo";
import { type AccessKey, hookSchema, newNonce, parseAs } from "@baton/protocol";
import { type Lease, leaseKey, openObjectStore, readLease } from "@baton/storage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const [bucket, prefix, application] = ["pier", "tide/", "tide"];
const startMs = 90_000;
/** A renewal comes every five seconds. */
const renewalMs = 30_000;

const pair = (name: string): AccessKey => ({
  accessKeyId: name.toUpperCase(),
  secretAccessKey: `secret-of-${name}-0123456789`,
});
const may = (key: AccessKey, below: string): StoreKey => ({
  accessKeyId: key.accessKeyId,
  secretAccessKey: key.secretAccessKey,
  allow: [{ bucket, prefix: below, write: true }],
});
const control = { old: pair("control1"), new: pair("control2") };
const data = { old: pair("data1"), new: pair("data2") };

let directory: string;
let store: DevStore;
let harbour: Harbour;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-rotation-"));
  store = await openStore(0, [may(control.old, ".baton/"), may(data.old, prefix)]);
  harbour = await openHarbour();
  const { endpoint } = store;
  const { client } = harbour;
  await client.apply({
    kind: "storage",
    name: application,
    endpoint,
    region: "us-east-1",
    bucket,
    prefix,
    credentials: {
      control: { file: await keep("control", control.old) },
      data: { file: await keep("data", data.old) },
      dataByCluster: {},
    },
    settleMs: 50,
  });
  await client.apply({
    kind: "application",
    name: application,
    storage: application,
    workload: { command: [process.execPath, ledgerProgram], environment: {} },
    hook: parseAs(hookSchema, { graceMs: 10_000 }, "the hook"),
    readiness: { path: "/readyz", timeoutMs: 30_000 },
    verify: { method: "POST", path: "/canary", timeoutMs: 10_000 },
  });
  await run({ kind: "deploy", application, to: "harbor-a" });
}, startMs);
afterAll(async () => {
  // The application writes to the store while it stops.
  await harbour.close();
  await store.close();
  await rm(directory, { recursive: true, force: true });
}, startMs);

/** A key file, as an operator keeps it. @returns its path. */
async function keep(name: string, key: AccessKey): Promise<string> {
  const file = join(directory, `${name}.json`);
  await writeFile(file, JSON.stringify(key), { mode: 0o600 });
  return file;
}

const openStore = (port: number, keys: readonly StoreKey[]): Promise<DevStore> =>
  startDevStore({ directory: join(directory, "store"), keys: { buckets: [bucket], keys }, port });

/** The store's administrator changes which keys are good; this store learns it by a start at the same address. */
async function allow(...keys: readonly StoreKey[]): Promise<void> {
  const { port } = new URL(store.endpoint);
  await store.close();
  store = await openStore(Number(port), keys);
}

async function run(request: Parameters<Harbour["client"]["startOperation"]>[0]): Promise<void> {
  let last = await harbour.client.startOperation(request);
  for await (last of harbour.client.watchOperation(last.id, AbortSignal.timeout(startMs)));
  expect({ state: last.state, reason: last.reason }).toEqual({ state: "committed", reason: null });
}

async function lease(): Promise<Lease> {
  const reader = openObjectStore({
    endpoint: store.endpoint,
    region: "us-east-1",
    bucket,
    accessKey: control.new,
  });
  try {
    const view = await readLease({ store: reader, prefix, timeoutMs: 5_000 });
    if (view === null) throw new Error("there is no lease");
    return view.lease;
  } finally {
    reader.close();
  }
}

/** Adds an entry by the application's own address. @returns its id, acknowledged. */
async function addEntry(): Promise<string> {
  const { url } = await harbour.client.route(application);
  const id = newNonce();
  const answer = await fetch(`${String(url)}/entries`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id, payload: "as always" }),
  });
  await answer.text();
  expect(answer.status).toBe(201);
  return id;
}

/** Whose key wrote the lease, write by write. */
const renewedBy = (): readonly (string | null)[] =>
  store
    .log()
    .filter(({ key }) => key === leaseKey(prefix))
    .map(({ accessKeyId }) => accessKeyId);

describe("the keys of a storage, under a running application", () => {
  const entries: string[] = [];

  it("are proven while both pairs are good, and the old one is seen to be so", async () => {
    entries.push(await addEntry());
    await allow(
      may(control.old, ".baton/"),
      may(control.new, ".baton/"),
      may(data.old, prefix),
      may(data.new, prefix),
    );
    const oldControl = await keep("old-control", control.old);
    await keep("control", control.new);
    await keep("data", data.new);
    const rotation = await harbour.client.rotateKeys(application, {});
    expect(rotation).toMatchObject({
      endpoints: [store.endpoint],
      keys: [
        { role: "control", counts: "at-once" },
        { role: "data", counts: "next-start" },
      ],
      runningOn: [application],
      oldRefused: null,
    });
    await expect(harbour.client.rotateKeys(application, { old: { file: oldControl } })).rejects.toMatchObject(
      {
        code: "fence-unproven",
        message: expect.stringContaining(
          `${store.endpoint} takes its writes below ".baton/probe/"`,
        ) as string,
      },
    );
  });

  it("change the key of the lease at once: it is renewed by the same run, though the old pair is gone", async () => {
    await allow(may(control.new, ".baton/"), may(data.old, prefix), may(data.new, prefix));
    const before = await lease();
    const taken = renewedBy().length;
    const rotation = await harbour.client.rotateKeys(application, {
      old: { file: join(directory, "old-control.json") },
    });
    expect(rotation.oldRefused).toEqual([{ endpoint: store.endpoint, denials: 3 }]);
    await expect.poll(() => renewedBy().length, { timeout: renewalMs }).toBeGreaterThan(taken + 1);
    expect(new Set(renewedBy().slice(taken))).toEqual(new Set([control.new.accessKeyId]));
    const { holder, run: started, epoch, state } = await lease();
    expect({ holder, run: started, epoch, state }).toEqual({
      holder: before.holder,
      run: before.run,
      epoch: before.epoch,
      state: "running",
    });
    entries.push(await addEntry());
    expect(harbour.kills()).toBe(0);
  });

  it("leave the application its old data key until its next start, and then none of it is left", async () => {
    const old = { file: await keep("old-data", data.old) };
    await expect(harbour.client.rotateKeys(application, { old })).rejects.toMatchObject({
      code: "fence-unproven",
      message: expect.stringContaining(`takes its writes below "${prefix}"`) as string,
    });
    await run({ kind: "migrate", application, to: "harbor-b" });
    await allow(may(control.new, ".baton/"), may(data.new, prefix));
    const { oldRefused } = await harbour.client.rotateKeys(application, { old });
    expect(oldRefused).toEqual([{ endpoint: store.endpoint, denials: 3 }]);
    entries.push(await addEntry());
    const { url } = await harbour.client.route(application);
    await expect
      .poll(async () => (await (await fetch(`${String(url)}/stats`)).json()) as unknown, { timeout: 15_000 })
      .toMatchObject({ unflushed: 0 });
    for (const id of entries) {
      const answer = await fetch(`${String(url)}/entries/${id}`);
      await answer.text();
      expect(answer.status).toBe(200);
    }
    const lastWrite = store.log().findLast(({ key }) => key.startsWith(prefix) && !key.includes(".baton-"));
    expect(lastWrite?.accessKeyId).toBe(data.new.accessKeyId);
  });

  it("that do not work are refused, and everything goes on with what was there", async () => {
    await keep("control", { ...control.new, secretAccessKey: "hunter2" });
    await expect(harbour.client.rotateKeys(application, {})).rejects.toMatchObject({
      code: "storage-credentials",
      message: expect.stringMatching(
        /^cannot rotate the keys of storage "tide": .*leave the old pair enabled$/,
      ) as string,
    });
    await keep("control", control.new);
    const taken = renewedBy().length;
    await expect.poll(() => renewedBy().length, { timeout: renewalMs }).toBeGreaterThan(taken);
    expect(await lease()).toMatchObject({ state: "running" });
  });
});
