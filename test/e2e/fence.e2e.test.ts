/* P1 and P4 on real stores whose placements have keys of their own. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Harbour, application as ledger, openHarbour } from "@baton/example-ledger/demo";
import { ledgerProgram } from "@baton/example-ledger/demo";
import {
  type AccessKey,
  type HookInput,
  type Operation,
  type StorageManifest,
  hookSchema,
  parseAs,
} from "@baton/protocol";
import { openObjectStore } from "@baton/storage";
import { createCephIdentities, identityOf, openBucketPolicy } from "@baton/storage/fence";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type StoreBed, bedMs, ceph, minio } from "../storage/store-bed.ts";

const prefix = "fenced/";
const name = "fenced";
const timeoutMs = 10_000;

/** A ledger of its own on the harbour's clusters, its data in a real store with a fence. */
async function declare(params: {
  readonly harbour: Harbour;
  readonly bed: StoreBed;
  readonly provider: "ceph" | "minio";
  readonly hook: HookInput;
}): Promise<StorageManifest> {
  const { harbour, bed, provider, hook } = params;
  const bucket = await bed.makeBucket();
  const secret = async (file: string, key: AccessKey) => {
    const path = join(harbour.directory, `${file}.json`);
    await writeFile(path, JSON.stringify(key), { mode: 0o600 });
    return { file: path };
  };
  const [endpoint, other] = bed.endpoints;
  const storage = (await harbour.client.apply({
    kind: "storage",
    name,
    endpoint,
    otherEndpoints: [other],
    region: bed.region,
    bucket,
    prefix,
    credentials: {
      control: await secret("real-control", bed.root),
      data: await secret("real-data", await bed.narrow(bucket, prefix)),
      dataByCluster: {},
    },
    fence: { provider, admin: await secret("real-admin", bed.root) },
    settleMs: 200,
  })) as StorageManifest;
  await harbour.client.apply({
    kind: "application",
    name,
    storage: name,
    workload: { command: [process.execPath, ledgerProgram], environment: {} },
    hook: parseAs(hookSchema, hook, "the hook"),
    readiness: { path: "/readyz", timeoutMs: 60_000 },
    verify: { method: "POST", path: "/canary", timeoutMs: 20_000 },
  });
  return storage;
}

async function run(harbour: Harbour, kind: "deploy" | "migrate", to: string): Promise<Operation> {
  let last = await harbour.client.startOperation({ kind, application: name, to });
  for await (last of harbour.client.watchOperation(last.id));
  return last;
}

describe("a migration on Ceph", { skip: ceph.missing !== null, meta: ceph.meta }, () => {
  let bed: StoreBed;
  let harbour: Harbour;
  beforeAll(async () => {
    bed = await ceph.open();
    harbour = await openHarbour();
  }, bedMs);
  afterAll(async () => {
    await harbour.close();
    await bed.close();
  }, bedMs);

  it("gives each placement and epoch a key of its own, and takes the source's away", async () => {
    expect(ledger).not.toBe(name);
    const { bucket, ifMatch } = await declare({ harbour, bed, provider: "ceph", hook: {} });
    expect(ifMatch).toBe("bare");
    const { region, root, endpoints } = bed;
    const admin = async (): Promise<AccessKey> => root;
    const [endpoint] = endpoints;
    const at = { endpoint, region, bucket };
    const policy = openBucketPolicy({ ...at, accessKey: admin });
    const identities = createCephIdentities({ ...at, prefix, admin, policy });
    const tryKey = async (placement: string | null, epoch: number): Promise<string> => {
      const identity = identityOf({ bucket, prefix }, placement ?? "", epoch);
      const accessKey = await identities.keyOf({ identity, timeoutMs });
      if (accessKey === null) return "no such key";
      const store = openObjectStore({ ...at, accessKey });
      const put = store.put({ key: `${prefix}probe`, body: "1", timeoutMs });
      return put
        .then(
          () => "let in",
          () => "refused",
        )
        .finally(() => store.close());
    };

    expect(await run(harbour, "deploy", "harbor-a")).toMatchObject({ state: "committed" });
    const before = await harbour.client.route(name);
    expect(await tryKey(before.placement, 1)).toBe("let in");
    expect(await run(harbour, "migrate", "harbor-b")).toMatchObject({
      state: "committed",
      fence: null,
      possibleLoss: false,
    });
    const after = await harbour.client.route(name);
    expect(await tryKey(before.placement, 1)).toBe("refused");
    expect(await tryKey(after.placement, 2)).toBe("let in");
    identities.close();
  });
});

describe("a migration on MinIO", { skip: minio.missing !== null, meta: minio.meta }, () => {
  let bed: StoreBed;
  let harbour: Harbour;
  beforeAll(async () => {
    bed = await minio.open();
    harbour = await openHarbour();
  }, bedMs);
  afterAll(async () => {
    await harbour.close();
    await bed.close();
  }, bedMs);

  it("is not passed on from a killed source before the store's bound was measured, and then only behind a proven fence", async () => {
    // No Node program minds this signal, so the source has to be killed.
    const hook = { signal: "SIGWINCH", graceMs: 500, killAllowed: true } as const;
    await declare({ harbour, bed, provider: "minio", hook });
    expect(await run(harbour, "deploy", "harbor-a")).toMatchObject({ state: "committed" });

    const refused = await run(harbour, "migrate", "harbor-b");
    expect(refused).toMatchObject({ state: "rolled-back", fence: null });
    expect(refused.reason).toContain("baton storage probe fenced --in-flight");
    expect(await harbour.client.route(name)).toMatchObject({ cluster: "harbor-a" });

    await harbour.client.probeStorage(name, { inFlight: true });
    const moved = await run(harbour, "migrate", "harbor-b");
    expect(moved).toMatchObject({
      state: "committed",
      possibleLoss: true,
      receipt: { outcome: "forced", evidenceClass: "proven" },
      fence: { key: { denied: bed.endpoints.map((endpoint) => ({ endpoint })) }, role: null },
    });
    // Twice what the store was seen to wait for a body.
    expect(moved.fence?.key?.settleMs).toBeGreaterThan(60_000);
    expect(await harbour.client.route(name)).toMatchObject({ cluster: "harbor-b" });
  });
});
