import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeleteObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { DevStore } from "@baton/dev-store";
import { startDevStore } from "@baton/dev-store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findOverlaps } from "./checker.ts";
import { encodeSegment } from "./segment.ts";
import type { StoredLedger } from "./store-reader.ts";
import { readLedgerFromStore } from "./store-reader.ts";

const SECRET = "a secret of this test";
const ENTRY = { id: "a", position: 1, payload: "one" };
const SEGMENT = encodeSegment([ENTRY]);
const holders = new Map([
  ["placement-a", "key-a"],
  ["placement-b", "key-b"],
]);

let directory: string;
let store: DevStore;
let clients: S3Client[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ledger-reader-"));
  const allow = [{ bucket: "data", prefix: "", write: true }];
  const keys = [...holders.values()].map((accessKeyId) => ({ accessKeyId, secretAccessKey: SECRET, allow }));
  store = await startDevStore({ directory, keys: { buckets: ["data"], keys } });
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await store.close();
  await rm(directory, { recursive: true });
});

function clientOf(accessKeyId: string): S3Client {
  const client = new S3Client({
    endpoint: store.endpoint,
    region: "us-east-1",
    credentials: { accessKeyId, secretAccessKey: SECRET },
    forcePathStyle: true,
  });
  clients.push(client);
  return client;
}

async function put(client: S3Client, Key: string, Body: string): Promise<void> {
  await client.send(new PutObjectCommand({ Bucket: "data", Key, Body }));
}

async function putLease(client: S3Client, holder: string, epoch: number, state: string): Promise<void> {
  await put(client, ".baton/leases/ledger/lease.json", JSON.stringify({ holder, epoch, state }));
}

function read(): Promise<StoredLedger> {
  return readLedgerFromStore({
    directory,
    bucket: "data",
    prefix: "ledger/",
    keyOf: (holder) => holders.get(holder),
  });
}

describe("readLedgerFromStore", () => {
  it("gives what the bucket holds now and every write in commit order", async () => {
    const client = clientOf("key-a");
    await put(client, "ledger/segments/1.json", SEGMENT);
    await put(client, "ledger/segments/2.json", SEGMENT);
    await put(client, "ledger/canary", "a canary is no segment");
    await put(client, "other/segments/1.json", "another application");
    await client.send(new DeleteObjectCommand({ Bucket: "data", Key: "ledger/segments/2.json" }));
    await put(client, ".baton/leases/other/lease.json", "another application's lease");
    await put(client, ".baton/leases/ledger/stop.json", "no lease, only beside it");
    const { segments, commits, handovers } = await read();
    expect(segments).toEqual([{ key: "ledger/segments/1.json", entries: [ENTRY] }]);
    expect(commits.map(({ sequence, operation }) => `${sequence} ${operation}`)).toEqual([
      "1 put",
      "2 put",
      "3 put",
      "5 delete",
    ]);
    expect(handovers).toEqual([]);
  });

  it("shows a target that wrote before the handover, by the keys that the store saw", async () => {
    const [source, target] = [clientOf("key-a"), clientOf("key-b")];
    await putLease(source, "placement-a", 1, "running");
    await put(source, "ledger/segments/1.json", SEGMENT);
    await put(target, "ledger/segments/2.json", SEGMENT);
    await putLease(source, "placement-a", 1, "stopped");
    await putLease(source, "placement-b", 2, "granted");
    await putLease(target, "placement-b", 2, "running");
    await put(target, "ledger/segments/3.json", SEGMENT);
    const { overlapping } = findOverlaps({ ...(await read()), strict: true });
    expect(overlapping).toMatchObject([{ key: "ledger/segments/2.json", accessKeyId: "key-b" }]);
  });

  it("refuses to judge by a lease that was deleted", async () => {
    const client = clientOf("key-a");
    await putLease(client, "placement-a", 1, "running");
    await client.send(new DeleteObjectCommand({ Bucket: "data", Key: ".baton/leases/ledger/lease.json" }));
    await expect(read()).rejects.toThrow("it was deleted");
  });

  it.each([
    ["a torn segment", "ledger/segments/1.json", '{"id":"a"', /ledger\/segments\/1.json: it does not end/],
    ["a line that is no entry", "ledger/segments/1.json", '{"id":"a"}\n', /line 1 is not an entry/],
    [
      "a lease in an unknown state",
      ".baton/leases/ledger/lease.json",
      '{"holder":"a","state":"odd"}',
      /cannot follow lease/,
    ],
  ])("refuses to judge %s", async (_name, key, body, message) => {
    await put(clientOf("key-a"), key, body);
    await expect(read()).rejects.toThrow(message);
  });
});
