// P1, P2: an application's own key is rotated under it: the same process goes on with the new one, by its SDK's default ways, and no write is lost.
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevStore, type StoreKey, startDevStore } from "@baton/dev-store";
import { type Harbour, ledgerProgram, openHarbour, runOperation } from "@baton/example-ledger/demo";
import { type AccessKey, agentEndpointSchema, hookSchema, newNonce, parseAs } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const [bucket, prefix, application] = ["pier", "tide/", "tide"];
const startMs = 90_000;
/** The SDK for JavaScript asks again half a minute after the last time. */
const fetchMs = 60_000;

const pair = (name: string): AccessKey => ({
  accessKeyId: name.toUpperCase(),
  secretAccessKey: `secret-of-${name}-0123456789`,
});
const may = ({ accessKeyId, secretAccessKey }: AccessKey, below: string): StoreKey => ({
  accessKeyId,
  secretAccessKey,
  allow: [{ bucket, prefix: below, write: true }],
});
const control = pair("control");
const data = { old: pair("data1"), new: pair("data2") };

let directory: string;
let store: DevStore;
let harbour: Harbour;
let placement: string;
const entries: string[] = [];
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-served-keys-"));
  store = await openStore(0, [may(control, ".baton/"), may(data.old, prefix)]);
  harbour = await openHarbour();
  const { client } = harbour;
  await client.apply({
    kind: "storage",
    name: application,
    endpoint: store.endpoint,
    region: "us-east-1",
    bucket,
    prefix,
    credentials: {
      control: { file: await keep("control", control) },
      data: { file: await keep("data", data.old) },
      dataByCluster: {},
      delivery: "endpoint",
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
  const deployed = await runOperation(client, { kind: "deploy", application, to: "harbor-a" });
  if (deployed.state !== "committed") throw new Error(`cannot deploy: ${deployed.reason ?? "no reason"}`);
  placement = deployed.target ?? "";
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

/** Adds an entry by the application's own address, which acknowledges it. */
async function addEntry(): Promise<void> {
  const { url } = await harbour.client.route(application);
  const id = newNonce();
  const answer = await fetch(`${String(url)}/entries`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id, payload: "as always" }),
  });
  await answer.text();
  expect(answer.status).toBe(201);
  entries.push(id);
}

/** Whose key wrote the newest entries; undefined where this life of the store saw none. A probe writes elsewhere. */
const lastWriter = (): string | null | undefined =>
  store.log().findLast(({ key }) => key.startsWith(`${prefix}segments/`))?.accessKeyId;

async function environmentOf(pid: number): Promise<Readonly<Record<string, string>>> {
  const text = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
  return Object.fromEntries(text.split("\0").map((entry) => entry.split(/=(.*)/s)));
}
/** The application's own process. */
async function runningApplication(): Promise<{ pid: number; environment: Readonly<Record<string, string>> }> {
  for (const pid of (await readdir("/proc")).map(Number).filter((each) => each > 0)) {
    const environment = await environmentOf(pid);
    if (environment["BATON_PLACEMENT"] === placement) return { pid, environment };
  }
  throw new Error("the application does not run");
}
/** What the application is answered when it asks for its key. */
async function askForKey(environment: Readonly<Record<string, string>>): Promise<unknown> {
  const answer = await fetch(environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] ?? "", {
    headers: { authorization: environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"] ?? "" },
  });
  return answer.json();
}

describe("the data key of an application that its agent serves", { timeout: startMs }, () => {
  let pid: number;

  it("is in no environment", async () => {
    const found = await runningApplication();
    pid = found.pid;
    expect(JSON.stringify(found.environment)).not.toContain(data.old.secretAccessKey);
    expect(found.environment).not.toHaveProperty("AWS_ACCESS_KEY_ID");
    await addEntry();
    await expect.poll(lastWriter, { timeout: fetchMs }).toBe(data.old.accessKeyId);
  });

  it("is replaced while the application runs, which goes on with the new one", async () => {
    await allow(may(control, ".baton/"), may(data.old, prefix), may(data.new, prefix));
    await keep("data", data.new);
    const rotation = await harbour.client.rotateKeys(application, {});
    expect(rotation).toMatchObject({
      keys: [{ role: "control" }, { role: "data", counts: "handed-over" }],
      runningOn: [],
      placements: [
        {
          application,
          placement,
          cluster: "harbor-a",
          taken: { fetchedAt: null, oldUntil: expect.any(String) as string },
          error: null,
        },
      ],
    });
    await expect
      .poll(
        async () => {
          await addEntry();
          return lastWriter();
        },
        { timeout: fetchMs, interval: 500 },
      )
      .toBe(data.new.accessKeyId);
    const again = await harbour.client.rotateKeys(application, {});
    expect(again.placements[0]?.taken?.fetchedAt).toEqual(expect.any(String));
  });

  it("leaves nothing of the old one, which the store refuses from then on", async () => {
    await allow(may(control, ".baton/"), may(data.new, prefix));
    const old = { file: await keep("old-data", data.old) };
    const { oldRefused } = await harbour.client.rotateKeys(application, { old });
    expect(oldRefused).toEqual([{ endpoint: store.endpoint, denials: 3 }]);
    await addEntry();
    await expect.poll(lastWriter, { timeout: fetchMs }).toBe(data.new.accessKeyId);
    expect((await runningApplication()).pid).toBe(pid);
  });

  it("loses no write: another process finds every entry in the bucket", async () => {
    const moved = await runOperation(harbour.client, { kind: "migrate", application, to: "harbor-b" });
    expect({ state: moved.state, reason: moved.reason }).toEqual({ state: "committed", reason: null });
    const { url } = await harbour.client.route(application);
    for (const id of entries) {
      const answer = await fetch(`${String(url)}/entries/${id}`);
      await answer.text();
      expect(answer.status).toBe(200);
    }
    placement = moved.target ?? "";
  });

  it("is sent again to an agent that was killed, at the address that the application knows", async () => {
    const state = join(harbour.directory, "harbor-b", "placements", placement, "state");
    const endpoint = async () =>
      parseAs(agentEndpointSchema, JSON.parse(await readFile(join(state, "endpoint.json"), "utf8")), "it");
    const killed = await endpoint();
    process.kill(killed.pid, "SIGKILL");
    const { pid: before, environment } = await runningApplication();
    await expect.poll(() => askForKey(environment).catch(() => "nobody"), { timeout: 10_000 }).toBe("nobody");
    const { placements } = await harbour.client.rotateKeys(application, {});
    expect(placements).toMatchObject([{ placement, taken: { fetchedAt: null }, error: null }]);
    expect((await endpoint()).instance).not.toBe(killed.instance);
    expect(await askForKey(environment)).toMatchObject({ AccessKeyId: data.new.accessKeyId });
    expect((await runningApplication()).pid).toBe(before);
    await addEntry();
  });
});
