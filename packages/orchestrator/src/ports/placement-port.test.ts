import { setTimeout as delay } from "node:timers/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Cluster, PlacedAgent } from "@baton/clusters";
import { AppError, type PublicKey, createKeyPair, newOperationId } from "@baton/protocol";
import { applyRequestWrite, openObjectStore, planRequest, putReceipt, readRequest } from "@baton/storage";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type BucketServer, startBucketServer } from "../fixtures/bucket-server.ts";
import { type RecordsBed, createSigner, openRecordsBed } from "../fixtures/records-bed.ts";
import { createPlacementKeys } from "./placement-keys.ts";
import { type PlacementPortParams, createPlacementPort } from "./placement-port.ts";

let bed: RecordsBed;
let bucket: BucketServer;
let placement: string;
let publicKey: PublicKey;
let sign: Awaited<ReturnType<typeof createSigner>>["sign"];
let calls: string[];
/** What the cluster says of the agent: where it is; "dead"; "silent", it lives; "none", there is no such placement; "away", nothing. */
let agentUrl: string;
const agentStatus = () => {
  const status = {
    placement,
    instance: "i",
    agentVersion: "0",
    state: "held",
    epoch: 0,
    run: null,
    ready: false,
  };
  const lease = { reachable: true, lost: false, detail: null };
  return { ...status, open: false, lease };
};
/** What the agent was told besides being asked for its status, and what it answers then. */
let told: { path: string; body: unknown }[];
let living: object;
let receipt: string;
const served = { fetchedAt: null, oldUntil: "2026-01-01T00:05:30.000Z" };
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk: Buffer) => (body += chunk.toString()));
  request.on("end", () => {
    const path = request.url ?? "";
    if (body !== "") told.push({ path, body: JSON.parse(body) });
    const key = `${operation}.stop.1`;
    const answers: Record<string, object> = {
      "/v1/keys": served,
      "/v1/stop": { key, kind: "stop", state: "open" },
      [`/v1/operations/${key}`]: { key, kind: "stop", state: "receipt", receipt, copy: "bucket" },
    };
    response.end(JSON.stringify(answers[path.split("?")[0] ?? ""] ?? { ...agentStatus(), ...living }));
  });
});
const serverUrl = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const operation = newOperationId();
const closedUrl = "http://127.0.0.1:9";
const signal = AbortSignal.timeout(30_000);

beforeAll(async () => {
  bed = await openRecordsBed();
  bucket = await startBucketServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
  await bucket.close();
  await bed.end();
});
beforeEach(async () => {
  calls = [];
  told = [];
  living = {};
  placement = (await bed.deployed(bucket.location)).target;
  ({ publicKey, sign } = await createSigner());
});

const placed = (url: string): PlacedAgent => ({
  endpoint: { placement, instance: "i", url, publicKey, pid: 1, startTime: "1", bootId: "b" },
  applicationUrl: serverUrl(),
});
const unused = () => Promise.reject(new Error("not asked for"));
/** A cluster with one placement; placing it starts its agent. */
const cluster: Cluster = {
  name: "harbor-a",
  capabilities: { holdsStandby: true, witnessesFromOutside: true, reachesAgents: true },
  async find() {
    calls.push("find");
    if (agentUrl === "dead") throw new AppError("agent-unreachable", "cannot find: its agent is dead");
    if (agentUrl === "away" || agentUrl === "silent")
      throw new AppError("cluster-unavailable", "cannot find: no answer");
    return agentUrl === "none" ? null : placed(agentUrl);
  },
  async place() {
    calls.push("place");
    agentUrl = serverUrl();
    return placed(agentUrl);
  },
  check: unused,
  async witness() {
    if (agentUrl === "away") throw new AppError("cluster-unavailable", "cannot look: no answer");
    const observedAt = new Date().toISOString();
    return { state: "running", agentAlive: true, processes: [], detail: null, observedAt };
  },
  remove: unused,
  list: unused,
};

async function openPort(
  deliver?: PlacementPortParams["deliver"],
  keys?: PlacementPortParams["keys"],
  delivery?: "environment" | "endpoint",
) {
  const found = await bed.placements.find(placement);
  const credentials = { ...found.storage.credentials, delivery };
  const record = { ...found, storage: { ...found.storage, credentials } };
  const { privateKey: signingKey } = await createKeyPair();
  const { manifest, storage } = record;
  const spec = {
    placement,
    agent: {
      application: record.application,
      commandKey: publicKey,
      confirm: { url: "http://127.0.0.1:9" },
      storage: { ...storage, owner: "o", control: storage.credentials.control, renewMs: 1 },
      workload: manifest.workload,
      hook: manifest.hook,
      readiness: manifest.readiness,
    },
  };
  return createPlacementPort({
    operation,
    record,
    records: bed.placements,
    cluster,
    spec,
    signingKey,
    keys: keys ?? createPlacementKeys({ storage, identities: null, placement, cluster: cluster.name }),
    deliver,
  });
}

describe("a placement's agent", () => {
  it("is looked up once and its key is recorded", async () => {
    agentUrl = serverUrl();
    const port = await openPort();
    expect((await port.status(signal)).state).toBe("held");
    await port.status(signal);
    expect(calls).toEqual(["find"]);
    expect((await bed.placements.find(placement)).publicKey).toEqual(publicKey);
  });

  it("is started again when it is dead, at first sight or while it is known", async () => {
    agentUrl = "dead";
    const port = await openPort();
    expect((await port.status(signal)).state).toBe("held");
    expect(calls).toEqual(["find", "place"]);
    agentUrl = closedUrl;
    const late = await openPort();
    const answer = late.status(signal);
    agentUrl = "dead";
    expect((await answer).state).toBe("held");
  });

  it("is not started again for a caller whose deadline has passed", async () => {
    agentUrl = closedUrl;
    const port = await openPort();
    const gone = AbortSignal.timeout(30);
    await expect(port.status(gone)).rejects.toMatchObject({ code: "agent-unreachable" });
    expect(calls).toEqual(["find"]);
  });

  it("with another key than recorded is not spoken to", async () => {
    agentUrl = serverUrl();
    await bed.placements.pinKey(placement, (await createKeyPair()).publicKey, serverUrl());
    const port = await openPort();
    await expect(port.status(signal)).rejects.toMatchObject({ code: "agent-identity" });
  });

  it("of a placement that is not there is an error, never started from nothing", async () => {
    agentUrl = "none";
    await expect((await openPort()).status(signal)).rejects.toMatchObject({ code: "unknown-placement" });
    expect(calls).toEqual(["find"]);
  });
});

describe("an agent that cannot send its receipt to anybody", () => {
  const stopOf = () => ({
    key: `${operation}.stop.1`,
    epoch: 1,
    run: { placement, instance: "i", counter: 1 },
    deadlineMs: 10_000,
  });
  const stopped = async () => {
    const delivered: string[][] = [];
    const port = await openPort(async (...message) => void delivered.push(message));
    agentUrl = serverUrl();
    await port.stop(stopOf(), signal);
    return { port, delivered };
  };

  it("has it fetched while the operation waits", async () => {
    const { application } = await bed.placements.find(placement);
    receipt = (await sign({ application, placement, operation })).jws;
    const { delivered } = await stopped();
    await expect.poll(() => delivered, { timeout: 10_000 }).toEqual([[operation, stopOf().key, receipt]]);
  });

  it("does not end the wait with what its recorded key did not sign", async () => {
    const { application } = await bed.placements.find(placement);
    receipt = (await (await createSigner()).sign({ application, placement, operation })).jws;
    const { port, delivered } = await stopped();
    await expect(port.receipt({ key: stopOf().key, waitMs: 0 }, signal)).rejects.toMatchObject({
      code: "receipt-invalid",
    });
    await delay(1_000);
    expect(delivered).toEqual([]);
  });
});

describe("the data key of what runs", () => {
  const dataKey = { accessKeyId: "AKNEW", secretAccessKey: "new-secret" };
  const epochs: number[] = [];
  const keys = {
    prepare: unused,
    async issue(epoch: number) {
      epochs.push(epoch);
      return dataKey;
    },
  };
  /** Far longer than any wait of the port. */
  const patience = () => AbortSignal.timeout(60_000);
  const run = () => ({ placement, instance: "i", counter: 1 });

  it("is issued for the epoch that is asked for, and handed to the run that lives", async () => {
    agentUrl = serverUrl();
    living = { state: "running", run: run(), epoch: 4 };
    const port = await openPort(undefined, keys);
    expect(await port.replaceKey(3, patience())).toEqual(served);
    expect(epochs).toEqual([3]);
    expect(told).toEqual([{ path: "/v1/keys", body: { key: dataKey } }]);
  });

  it("is not issued where nothing runs", async () => {
    agentUrl = serverUrl();
    const port = await openPort(undefined, { prepare: unused, issue: unused });
    for (const state of ["held", "stopped", "crashed"]) {
      living = { state, run: state === "held" ? null : run() };
      expect(await port.replaceKey(3, patience())).toBeNull();
    }
    expect(told).toEqual([]);
  });

  it.each([
    ["environment", { environment: { AWS_ACCESS_KEY_ID: "AKNEW", AWS_SECRET_ACCESS_KEY: "new-secret" } }],
    ["endpoint", { environment: {}, key: dataKey }],
  ] as const)("comes with the start for its %s", async (delivery, body) => {
    agentUrl = serverUrl();
    const port = await openPort(undefined, keys, delivery);
    const start = { key: `${operation}.start.1`, epoch: 3, grant: "g", deadlineMs: 1_000 };
    // What the agent answers here is no start.
    await expect(port.start(start, patience())).rejects.toMatchObject({ code: "agent-failed" });
    expect(told).toEqual([{ path: "/v1/start", body }]);
  });
});

describe("an agent that lives and that no network path reaches", () => {
  const run = () => ({ placement, instance: "i", counter: 1 });
  const stopOf = (deadlineMs = 10_000) => ({ key: `${operation}.stop.1`, epoch: 1, run: run(), deadlineMs });
  /** Far longer than any wait of the port: a test that fails does so for its own reason. */
  const patience = () => AbortSignal.timeout(60_000);

  /** Its bucket, where it answers the next that is asked. */
  async function openMailbox() {
    const { storage } = await bed.placements.find(placement);
    const accessKey = { accessKeyId: "K", secretAccessKey: "s" };
    const store = openObjectStore({ ...storage, accessKey });
    const { prefix } = storage;
    const at = { store, prefix, placement };
    const look = () => readRequest({ ...at, timeoutMs: 1_000 });
    return {
      look,
      async answer() {
        await expect.poll(async () => (await look())?.request?.state, { timeout: 30_000 }).toBe("asked");
        const seen = await look();
        if (seen?.request?.state !== "asked") throw new Error("nothing is asked");
        const { kind } = seen.request;
        const status = kind === "stop" ? null : agentStatus();
        const write = planRequest(seen, { state: "accepted", instance: "i", status });
        await applyRequestWrite({ ...at, write, deadlineMs: 5_000 });
        return kind;
      },
      async putReceipt() {
        const { application } = await bed.placements.find(placement);
        const { jws } = await sign({ application, placement, operation });
        await putReceipt({ store, prefix, key: stopOf().key, jws, timeoutMs: 5_000 });
        return jws;
      },
    };
  }
  beforeEach(() => {
    agentUrl = "silent";
  });

  it("is asked through the bucket for its status, a withdrawal, and to let clients in", async () => {
    const [port, mailbox] = [await openPort(), await openMailbox()];
    const { key } = stopOf();
    const status = port.status(patience());
    expect(await mailbox.answer()).toBe("read");
    expect(await status).toMatchObject({ state: "held", placement });
    const withdrawn = port.withdraw({ key, epoch: 1 }, patience());
    expect(await mailbox.answer()).toBe("withdraw");
    expect(await withdrawn).toMatchObject({ placement });
    const opened = port.open({ epoch: 1, run: run() }, patience());
    expect(await mailbox.answer()).toBe("open");
    await opened;
  });

  it("is stopped through the bucket, and its receipt reaches the operation that waits", async () => {
    const delivered: string[][] = [];
    const port = await openPort(async (...message) => void delivered.push(message));
    await bed.placements.pinKey(placement, publicKey, serverUrl());
    const mailbox = await openMailbox();
    const stopped = port.stop(stopOf(), patience());
    expect(await mailbox.answer()).toBe("stop");
    await stopped;
    expect(await port.receipt({ key: stopOf().key, waitMs: 0 }, patience())).toBeNull();
    const jws = await mailbox.putReceipt();
    await expect.poll(() => delivered, { timeout: 10_000 }).toEqual([[operation, stopOf().key, jws]]);
    expect(await port.receipt({ key: stopOf().key, waitMs: 0 }, patience())).toMatchObject({
      jws,
      receipt: { placement },
    });
  });

  it("is believed only what its recorded key signed", async () => {
    const [port, mailbox] = [await openPort(), await openMailbox()];
    await bed.placements.pinKey(placement, (await createKeyPair()).publicKey, serverUrl());
    await mailbox.putReceipt();
    await expect(port.receipt({ key: stopOf().key, waitMs: 0 }, patience())).rejects.toMatchObject({
      code: "receipt-invalid",
    });
  });

  it("that was reached before is asked through the bucket when it is not any more", async () => {
    agentUrl = serverUrl();
    const [port, mailbox] = [await openPort(), await openMailbox()];
    await port.status(patience());
    agentUrl = closedUrl;
    const other = await openPort();
    const status = other.status(patience());
    await expect.poll(() => calls.length).toBeGreaterThan(1);
    agentUrl = "silent";
    expect(await mailbox.answer()).toBe("read");
    expect(await status).toMatchObject({ placement });
  });

  it("is asked nothing where its cluster does not answer either: nobody would see what became of it", async () => {
    agentUrl = "away";
    const [port, mailbox] = [await openPort(), await openMailbox()];
    await expect(port.stop(stopOf(), patience())).rejects.toMatchObject({ code: "cluster-unavailable" });
    expect(await mailbox.look()).toBeNull();
  });

  it("stays unknown when it does not answer in the bucket, or the bucket does not", async () => {
    const port = await openPort();
    const soon = AbortSignal.timeout(1_500);
    await expect(port.stop(stopOf(), soon)).rejects.toMatchObject({ code: "agent-unreachable" });
    bucket.isDown = true;
    const { key } = stopOf();
    await expect(port.receipt({ key, waitMs: 0 }, patience())).rejects.toMatchObject({
      code: "storage-unclear",
    });
    bucket.isDown = false;
  });
});
