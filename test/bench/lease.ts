import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { startDevStore } from "@baton/dev-store";
import { newNonce, newOperationId, newPlacementId } from "@baton/protocol";
import { changeLease, openObjectStore } from "@baton/storage";
import { type Figure, median, ratioFigure, valueFigure } from "./figure.ts";

const bench = "lease";
const bucket = "data";
const accessKey = { accessKeyId: "control", secretAccessKey: "control-secret" };
const deadlineMs = 15_000;
const leases = 1_000;
/** Nothing depends on the pause between two renewals, as a lease that expired is no evidence. */
const renewMs = 120_000;
const holdSeconds = 120;
const holder = join(import.meta.dirname, "fixtures/hold-leases.ts");

/** What a lease costs: round trips and time of a transfer, and the processor time of a process that holds a thousand. */
export async function benchLease(runs = 200): Promise<readonly Figure[]> {
  return [...(await measureTransfers(runs)), ...(await measureHolding())];
}

/** Transfers from one stopped holder to the next, on the development store; the reference reads and writes an object of the same size. */
async function measureTransfers(runs: number): Promise<readonly Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "baton-bench-"));
  const devStore = await startDevStore({
    directory,
    keys: { buckets: [bucket], keys: [{ ...accessKey, allow: [{ bucket, prefix: "", write: true }] }] },
  });
  let requests = 0;
  const store = openObjectStore({
    endpoint: devStore.endpoint,
    region: "us-east-1",
    bucket,
    accessKey,
    onAnswer: () => (requests += 1),
  });
  const owner = "bench";
  const prefix = "bench/";
  const common = { store, prefix, deadlineMs };
  try {
    let [epoch, placement, grant] = [1, newPlacementId(), newNonce()];
    const operation = newOperationId();
    await changeLease({
      ...common,
      change: { kind: "create", application: "bench", prefix, owner, holder: placement, grant, operation },
    });
    const roundTrips: number[] = [];
    const transfers: number[] = [];
    const plain: number[] = [];
    for (let n = 0; n < runs; n += 1) {
      const run = { placement, instance: "1", counter: 1 };
      const agent = { owner, holder: placement, epoch };
      const view = await changeLease({ ...common, change: { kind: "run", ...agent, grant, run } });
      await changeLease({ ...common, change: { kind: "stop", ...agent, run } });

      const next = newPlacementId();
      grant = newNonce();
      const from = { holder: placement, epoch, run };
      requests = 0;
      let began = performance.now();
      await changeLease({
        ...common,
        change: { kind: "grant", owner, from, holder: next, grant, operation },
      });
      transfers.push(performance.now() - began);
      roundTrips.push(requests);
      [placement, epoch] = [next, epoch + 1];

      const body = JSON.stringify(view.lease);
      began = performance.now();
      await store.get({ key: "plain", timeoutMs: deadlineMs });
      await store.put({ key: "plain", body, timeoutMs: deadlineMs });
      plain.push(performance.now() - began);
    }
    return [
      valueFigure({
        bench,
        figure: "store round trips of a transfer, most",
        value: Math.max(...roundTrips),
        unit: "requests",
        atMost: 3,
      }),
      ratioFigure({
        bench,
        figure: "transfer against one read and one write, median",
        value: median(transfers),
        unit: "ms",
        reference: median(plain),
        atMost: 1.5,
      }),
    ];
  } finally {
    store.close();
    await devStore.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** The reference sends as many bytes as often by plain node:http, unsigned and without a condition. */
async function measureHolding(): Promise<readonly Figure[]> {
  const server = await startMemoryStore();
  const hold = async (mode: "leases" | "bare"): Promise<{ percent: number; renewals: number }> => {
    const args = [holder, server.endpoint, mode, leases, renewMs, holdSeconds].map(String);
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 300_000 });
    const { cpuMs, renewals, failures } = JSON.parse(stdout) as Record<string, number>;
    if (failures !== 0 || renewals === undefined || cpuMs === undefined)
      throw new Error(`cannot measure: ${failures} renewals failed`);
    return { percent: (cpuMs / (holdSeconds * 1_000)) * 100, renewals };
  };
  try {
    const held = await hold("leases");
    const bare = await hold("bare");
    return [
      valueFigure({
        bench,
        figure: `processor of ${leases} leases, each renewed every ${renewMs / 1_000} s`,
        value: held.percent,
        unit: "% of one",
        reference: bare.percent,
        atMost: 2,
      }),
      valueFigure({
        bench,
        figure: "processor of one renewal",
        value: (held.percent * holdSeconds * 10) / held.renewals,
        unit: "ms",
        reference: (bare.percent * holdSeconds * 10) / bare.renewals,
        atMost: null,
      }),
    ];
  } finally {
    await server.close();
  }
}

/** Enough of S3 for leases, in memory: what the store itself costs must not slow the holder. */
async function startMemoryStore() {
  const objects = new Map<string, Buffer>();
  const etagOf = (body: Buffer): string => `"${createHash("md5").update(body).digest("hex")}"`;
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const path = request.url ?? "";
      const known = objects.get(path);
      const sent = request.headers["if-match"];
      if (request.method === "GET") {
        if (known === undefined) response.writeHead(404).end("<Error><Code>NoSuchKey</Code></Error>");
        else response.writeHead(200, { etag: etagOf(known) }).end(known);
        return;
      }
      const isRefused = sent !== undefined && (known === undefined || sent !== etagOf(known));
      if (isRefused) return void response.writeHead(412).end();
      const body = Buffer.concat(chunks);
      objects.set(path, body);
      response.writeHead(200, { etag: etagOf(body) }).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
