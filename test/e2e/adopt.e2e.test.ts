/* P1 where an orchestrator takes on what another one has (safety rule 9). */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Harbour, ledgerProgram, openHarbour, runOperation } from "@baton/example-ledger/demo";
import { type AccessKey, type StorageManifest, hookSchema, newOperationId, parseAs } from "@baton/protocol";
import { applyLeaseWrite, changeLease, openObjectStore, planLeaseChange, readLease } from "@baton/storage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type StoreBed, bedMs, minio } from "../storage/store-bed.ts";

const prefix = "adopted/";
const name = "adopted";
const timeoutMs = 10_000;
const adoptionMs = 400_000;

async function declare(params: {
  readonly harbour: Harbour;
  readonly bed: StoreBed;
  readonly bucket: string;
  readonly data: AccessKey;
  readonly fenced: boolean;
}): Promise<void> {
  const { harbour, bed, bucket, data, fenced } = params;
  const secret = async (file: string, key: AccessKey) => {
    const path = join(harbour.directory, `${file}.json`);
    await writeFile(path, JSON.stringify(key), { mode: 0o600 });
    return { file: path };
  };
  const [endpoint, other] = bed.endpoints;
  await harbour.client.apply({
    kind: "storage",
    name,
    endpoint,
    otherEndpoints: [other],
    region: bed.region,
    bucket,
    prefix,
    credentials: {
      control: await secret("real-control", bed.root),
      data: await secret("real-data", data),
      dataByCluster: {},
    },
    ...(fenced && { fence: { provider: "minio" as const, admin: await secret("real-admin", bed.root) } }),
    settleMs: 200,
  } satisfies StorageManifest);
  await harbour.client.apply({
    kind: "application",
    name,
    storage: name,
    workload: { command: [process.execPath, ledgerProgram], environment: {} },
    hook: parseAs(hookSchema, {}, "the hook"),
    readiness: { path: "/readyz", timeoutMs: 60_000 },
    verify: { method: "POST", path: "/canary", timeoutMs: 20_000 },
  } as Parameters<Harbour["client"]["apply"]>[0]);
}

/** Whether the application there can write to its storage. */
async function canWrite(url: string): Promise<boolean> {
  return (await fetch(new URL("/canary", url), { method: "POST" })).ok;
}

describe("an adoption on MinIO", { skip: minio.missing !== null, meta: minio.meta }, () => {
  let bed: StoreBed;
  let theirs: Harbour;
  let ours: Harbour;
  beforeAll(async () => {
    bed = await minio.open();
    [theirs, ours] = [await openHarbour(), await openHarbour()];
  }, 2 * bedMs);
  afterAll(async () => {
    await theirs.close();
    await ours.close();
    await bed.close();
  }, bedMs);

  it(
    "shuts the other orchestrator's application out before the lease is ours, and ours goes on with its data",
    async () => {
      const bucket = await bed.makeBucket();
      const identities = bed.openIdentities({ bucket, prefix });
      await identities.prepare({ timeoutMs });
      const writer = await identities.issue({ identity: `old-${bucket}`, timeoutMs });
      identities.close();
      await declare({ harbour: theirs, bed, bucket, data: writer, fenced: false });
      await declare({ harbour: ours, bed, bucket, data: await bed.narrow(bucket, prefix), fenced: true });
      const deploy = { kind: "deploy", application: name, to: "harbor-a" } as const;
      expect(await runOperation(theirs.client, deploy)).toMatchObject({ state: "committed" });
      const url = (await theirs.client.route(name)).url ?? "";
      expect(await canWrite(url)).toBe(true);
      // Theirs, and so refused until it is adopted.
      expect(await runOperation(ours.client, deploy)).toMatchObject({ state: "rolled-back" });

      const file = join(ours.directory, "old-writer.json");
      await writeFile(file, JSON.stringify(writer), { mode: 0o600 });
      const request = { application: name, writers: [{ file }], reason: "their cluster is lost" };
      await expect(ours.client.adoptLease(name, request)).rejects.toThrow("--in-flight");
      expect(await canWrite(url)).toBe(true);

      await ours.client.probeStorage(name, { inFlight: true });
      const adoption = await ours.client.adoptLease(name, request);
      expect(adoption).toMatchObject({
        epoch: 2,
        by: "bootstrap",
        reason: request.reason,
        fences: [{ identity: writer.accessKeyId, denied: bed.endpoints.map((endpoint) => ({ endpoint })) }],
      });
      expect(await canWrite(url)).toBe(false);
      const moved = await runOperation(theirs.client, {
        kind: "migrate",
        application: name,
        to: "harbor-b",
      });
      expect(moved.state).not.toBe("committed");
      expect(moved.reason).toContain("belongs to");
      expect(await runOperation(ours.client, deploy)).toMatchObject({ state: "committed" });
      expect(await canWrite((await ours.client.route(name)).url ?? "")).toBe(true);
      expect(await canWrite(url)).toBe(false);
    },
    adoptionMs,
  );

  it("without the fence leaves two writers, and that is found (planted)", async () => {
    const bucket = await bed.makeBucket();
    const [endpoint] = bed.endpoints;
    const at = { endpoint, region: bed.region, bucket };
    const control = openObjectStore({ ...at, accessKey: bed.root });
    const data = openObjectStore({ ...at, accessKey: await bed.narrow(bucket, prefix) });
    const operation = newOperationId();
    const holder = "pl-00000000000000000001";
    const of = { store: control, prefix, deadlineMs: timeoutMs };
    await changeLease({
      ...of,
      change: { kind: "create", owner: "a", application: name, prefix, holder, grant: "g", operation },
    });
    const current = await readLease({ ...of, timeoutMs });
    const from = { owner: "a", holder, epoch: 1, run: null };
    const write = planLeaseChange({
      current,
      change: { kind: "adopt", owner: "b", application: name, from, operation },
    });
    expect(await applyLeaseWrite({ ...of, write })).toMatchObject({ kind: "applied" });
    const put = data.put({ key: `${prefix}late`, body: "by the old writer", timeoutMs });
    await expect(put).resolves.toMatchObject({ kind: "stored" });
    control.close();
    data.close();
  });
});
