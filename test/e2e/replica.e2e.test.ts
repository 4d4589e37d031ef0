/* P2 where source and target reach the bucket at endpoints of which one shows the other's writes late (safety rule 19). */
import { join } from "node:path";
import {
  type Harbour,
  application,
  bucket,
  clusters,
  openHarbour,
  prefix,
  runOperation,
} from "@baton/example-ledger/demo";
import type { Operation, StorageManifest } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LaggingEndpoint, openLaggingEndpoint } from "../storage/lagging-endpoint.ts";
import { type LateReplica, openLateReplica } from "../storage/late-replica.ts";

const openMs = 90_000;
const replicaWaitMs = 10_000;
const [main, far] = clusters;

async function openReplica({ directory, endpoint, keys }: Harbour): Promise<LateReplica> {
  const keysFile = join(directory, "store-keys.json");
  return openLateReplica({ main: endpoint, directory, keysFile, bucket, prefix, accessKey: keys[far] });
}

/** The second cluster reaches the bucket at another endpoint, which is a replica. */
async function deployBeside({ client }: Harbour, endpoint: string): Promise<void> {
  const { manifest } = await client.storage("harbor");
  const beside = { [far]: { endpoint, replica: "asynchronous", replicaWaitMs } } as const;
  await client.apply({ ...manifest, clusters: beside } satisfies StorageManifest);
  const { state, reason } = await runOperation(client, { kind: "deploy", application, to: main });
  expect({ state, reason }).toEqual({ state: "committed", reason: null });
}

const url = async ({ client }: Harbour): Promise<string> => (await client.route(application)).url ?? "";

/** Acknowledged entries, by their ids. */
async function addEntries(harbour: Harbour, name: string): Promise<readonly string[]> {
  const base = await url(harbour);
  const ids = Array.from({ length: 20 }, (_, n) => `${name}-${n}`);
  for (const id of ids) {
    const answer = await fetch(new URL("/entries", base), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ id, payload: name }),
    });
    expect(answer.ok).toBe(true);
  }
  return ids;
}

/** Of entries that were acknowledged, those that the application which serves now does not know. */
async function missing(harbour: Harbour, ids: readonly string[]): Promise<readonly string[]> {
  const base = await url(harbour);
  const known = await Promise.all(
    ids.map(async (id) => (await fetch(new URL(`/entries/${id}`, base))).status),
  );
  return ids.filter((_, n) => known[n] !== 200);
}

const stateOf = ({ steps }: Operation, name: string) => steps.find((step) => step.name === name)?.state;

/** @param whileWaiting called once when the source is fenced and the target waits. */
async function move(harbour: Harbour, to: string, whileWaiting?: () => Promise<void>): Promise<Operation> {
  let caughtUp: Promise<void> | undefined;
  const operation = await runOperation(harbour.client, { kind: "migrate", application, to }, (seen) => {
    if (whileWaiting === undefined || seen.ledger.fencedAt === null) return;
    // Before the endpoint has caught up nothing is granted.
    if (caughtUp === undefined) expect(stateOf(seen, "handOver")).toBe("pending");
    caughtUp ??= whileWaiting();
  });
  await caughtUp;
  return operation;
}

describe("a target whose endpoint is an asynchronous replica", () => {
  let harbour: Harbour;
  let replica: LateReplica;
  const acknowledged: string[] = [];
  beforeAll(async () => {
    harbour = await openHarbour();
    replica = await openReplica(harbour);
    await deployBeside(harbour, replica.endpoint);
    acknowledged.push(...(await addEntries(harbour, "first")));
  }, openMs);
  afterAll(async () => {
    await harbour.close();
    await replica.close();
  }, openMs);

  it("is not started where it does not catch up: the source serves again, and the reason says what differs", async () => {
    const { state, reason, replica: record } = await move(harbour, far);
    expect({ state, record }).toEqual({ state: "rolled-back", record: null });
    expect(reason).toContain(`cannot say that ${replica.endpoint} has everything that ${harbour.endpoint}`);
    expect(reason).toMatch(/objects? differs? below "ledger\/": 0 added, \d+ removed, 0 changed/);
    expect(await harbour.client.route(application)).toMatchObject({ cluster: main });
    expect(await missing(harbour, acknowledged)).toEqual([]);
  });

  it("is started once it shows all that the source wrote", async () => {
    const moved = await move(harbour, far, () => replica.catchUp("to-replica"));
    expect(moved).toMatchObject({
      state: "committed",
      replica: { written: `${harbour.endpoint}`, replica: replica.endpoint },
    });
    expect(moved.replica?.looks).toBeGreaterThan(1);
    expect(moved.replica?.inventory.objects).toBeGreaterThan(0);
    expect(await harbour.client.route(application)).toMatchObject({ cluster: far });
    expect(await missing(harbour, acknowledged)).toEqual([]);
  });

  it("is left only once the storage's own endpoint shows all that was written there", async () => {
    acknowledged.push(...(await addEntries(harbour, "second")));
    const moved = await move(harbour, main, () => replica.catchUp("to-main"));
    expect(moved).toMatchObject({
      state: "committed",
      replica: { written: replica.endpoint, replica: harbour.endpoint },
    });
    expect(moved.replica?.looks).toBeGreaterThan(1);
    expect(await harbour.client.route(application)).toMatchObject({ cluster: main });
    expect(await missing(harbour, acknowledged)).toEqual([]);
  });

  it("never had a lease, nor anything else of Baton's but scratch keys", () => {
    const ofBaton = replica.keys().filter((key) => !key.startsWith(prefix));
    expect(replica.keys().length).toBeGreaterThan(ofBaton.length);
    expect(ofBaton.filter((key) => !key.startsWith(".baton/probe/"))).toEqual([]);
  });
});

describe("a target that does not wait for its replica (planted: it lists what it does not have)", () => {
  let harbour: Harbour;
  let replica: LateReplica;
  let liar: LaggingEndpoint;
  beforeAll(async () => {
    harbour = await openHarbour();
    replica = await openReplica(harbour);
    liar = await openLaggingEndpoint(replica.endpoint, harbour.keys[far], harbour.endpoint);
    await deployBeside(harbour, liar.endpoint);
  }, openMs);
  afterAll(async () => {
    await harbour.close();
    await liar.close();
    await replica.close();
  }, openMs);

  it("starts without what the source had acknowledged, and that is found", async () => {
    const acknowledged = await addEntries(harbour, "first");
    const moved = await move(harbour, far);
    expect({ state: moved.state, looks: moved.replica?.looks }).toEqual({ state: "committed", looks: 1 });
    expect(await missing(harbour, acknowledged)).toEqual(acknowledged);
  });
});
