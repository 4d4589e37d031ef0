import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Cluster, PlacedAgent } from "@baton/clusters";
import { type PublicKey, AppError, createKeyPair } from "@baton/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { createPlacementPort } from "./placement-port.ts";

let bed: RecordsBed;
let placement: string;
let publicKey: PublicKey;
let calls: string[];
/** What the cluster says of the agent: where it is; "dead"; or "none", there is no such placement. */
let agentUrl: string;
const server = createServer((_request, response) => {
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
  response.end(JSON.stringify({ ...status, open: false, lease }));
});
const serverUrl = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const closedUrl = "http://127.0.0.1:9";
const signal = AbortSignal.timeout(30_000);

beforeAll(async () => {
  bed = await openRecordsBed();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
  await bed.end();
});
beforeEach(async () => {
  calls = [];
  placement = (await bed.deployed()).target;
  publicKey = (await createKeyPair()).publicKey;
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
    return agentUrl === "none" ? null : placed(agentUrl);
  },
  async place() {
    calls.push("place");
    agentUrl = serverUrl();
    return placed(agentUrl);
  },
  check: unused,
  witness: unused,
  remove: unused,
  list: unused,
};

async function openPort() {
  const record = await bed.placements.find(placement);
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
  return createPlacementPort({ operation: "op", record, records: bed.placements, cluster, spec, signingKey });
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
