import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type AccessKey, AppError, type StorageManifest } from "@baton/protocol";
import { type Lease, changeLease, claimPrefix, leaseKey, readLease } from "@baton/storage";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type BucketServer, startBucketServer } from "../fixtures/bucket-server.ts";
import { type RecordsBed, openRecordsBed, storageManifest } from "../fixtures/records-bed.ts";
import type { ForeignKeys } from "../ports/foreign-keys.ts";
import { openControlStore } from "../ports/storages.ts";
import { AdoptionRecords } from "../records/adoption-records.ts";
import { adoptLease } from "./adopt-lease.ts";

const them = "installation-a/ledger";
const us = "installation-b/ledger";
const holder = "pl-00000000000000000001";
const deadlineMs = 10_000;

let bed: RecordsBed;
let records: AdoptionRecords;
let bucket: BucketServer;
let application: string;
let storage: StorageManifest;
let store: Awaited<ReturnType<typeof openControlStore>>;
let writer: string;
/** What became of the writer's keys, in order. */
let events: string[];

beforeAll(async () => {
  bed = await openRecordsBed();
  records = new AdoptionRecords(bed.database);
});
afterAll(() => bed.end());
beforeEach(async () => {
  bucket = await startBucketServer();
  application = await bed.declare(bucket.location);
  storage = { ...storageManifest(`store-of-${application}`), ...bucket.location };
  store = await openControlStore(storage);
  writer = join(dirname(storage.credentials.control.file), "writer.json");
  await writeFile(writer, JSON.stringify({ accessKeyId: "OLD", secretAccessKey: "hunter2" }));
  events = [];
  return async () => {
    store.close();
    await bucket.close();
  };
});

/** The other orchestrator has the prefix, and its application runs. */
async function runAtTheirs(): Promise<void> {
  const { prefix } = storage;
  const of = { store, prefix, deadlineMs };
  await claimPrefix({ ...of, owner: them, application: "ledger" });
  const operation = "op-00000000000000000001";
  const grant = "g";
  await changeLease({
    ...of,
    change: { kind: "create", owner: them, application: "ledger", prefix, holder, grant, operation },
  });
  const run = { placement: holder, instance: "1", counter: 1 };
  await changeLease({ ...of, change: { kind: "run", owner: them, holder, epoch: 1, grant, run } });
}
const change = (kind: "renew" | "stop") => {
  const run = { placement: holder, instance: "1", counter: 1 };
  return changeLease({
    store,
    prefix: storage.prefix,
    deadlineMs,
    change: { kind, owner: them, holder, epoch: 1, run },
  });
};
const lease = async (): Promise<Lease | undefined> =>
  (await readLease({ store, prefix: storage.prefix, timeoutMs: 1_000 }))?.lease;

const keysWith = (during: () => Promise<unknown> = async () => undefined): ForeignKeys => ({
  async assertOpen({ accessKeyId }: AccessKey) {
    // A key that is refused already proves nothing by its refusal.
    if (events.includes(`fence ${accessKeyId}`)) throw new AppError("fence-unproven", "refused already");
    events.push(`open ${accessKeyId}`);
  },
  async fence({ accessKeyId: identity }) {
    events.push(`fence ${identity}`);
    await during();
    return {
      identity,
      disabledAt: "2026-01-01T00:00:00.000Z",
      denied: [],
      settleMs: 1,
      uploads: { aborted: 0, complete: true },
      inventory: { objects: 0, bytes: 0, digest: "d" },
    };
  },
});
const adopt = (change: Partial<Parameters<typeof adoptLease>[0]> = {}) =>
  adoptLease({
    storage,
    owner: us,
    request: { application, writers: [{ file: writer }], reason: "the old cluster is gone" },
    by: "night-shift",
    keys: keysWith(),
    records,
    ...change,
  });

describe("adopting another owner's lease", () => {
  it("takes every key of its writer away first, then the lease in one write, and says who wanted it and why", async () => {
    await runAtTheirs();
    const adoption = await adopt();
    expect(events).toEqual(["open OLD", "fence OLD"]);
    expect(adoption).toMatchObject({
      application,
      from: them,
      epoch: 2,
      fences: [{ identity: "OLD" }],
      by: "night-shift",
      reason: "the old cluster is gone",
    });
    expect(await lease()).toMatchObject({
      owner: us,
      application,
      epoch: 2,
      state: "fenced",
      grant: null,
      holder,
      operation: adoption.id,
    });
    expect(await records.epochOf(application)).toBe(2);
    expect((await bed.placements.leased()).find((one) => one.application === application)).toBeUndefined();
    const claims = bucket.objects.get(`/${storage.bucket}/.baton/claims.json`) ?? "";
    expect(JSON.parse(claims)).toMatchObject({ claims: [{ owner: us, application }] });
    // The other agent can do nothing with it any more.
    await expect(change("renew")).rejects.toMatchObject({ code: "lease-foreign" });
    expect(JSON.stringify([adoption, ...bucket.objects.values()])).not.toContain("hunter2");
  });

  it("lets the holder renew meanwhile, and takes nothing that changed otherwise", async () => {
    await runAtTheirs();
    await expect(adopt({ keys: keysWith(() => change("stop")) })).rejects.toMatchObject({
      code: "lease-superseded",
    });
    expect(await lease()).toMatchObject({ owner: them, epoch: 1, state: "stopped" });
    // Looked at again, by somebody who asks once more.
    expect(await adopt({ keys: keysWith(async () => undefined) })).toMatchObject({ epoch: 2 });
    expect(events).toEqual(["open OLD", "fence OLD", "fence OLD"]);
  });

  it("goes through renewals", async () => {
    await runAtTheirs();
    expect(await adopt({ keys: keysWith(() => change("renew")) })).toMatchObject({ epoch: 2 });
  });

  it("is refused where the lease changes between the last look and the write", async () => {
    await runAtTheirs();
    const slow: Parameters<typeof adoptLease>[0]["records"] = {
      begin: records.begin.bind(records),
      saveOpened: records.saveOpened.bind(records),
      end: records.end.bind(records),
      savePlan: async (...args: Parameters<AdoptionRecords["savePlan"]>) => {
        await records.savePlan(...args);
        if (args[2] !== null) await change("stop");
      },
    };
    await expect(adopt({ records: slow })).rejects.toMatchObject({ code: "lease-superseded" });
    expect(await lease()).toMatchObject({ owner: them, state: "stopped" });
    expect(await adopt()).toMatchObject({ epoch: 2 });
  });

  it.each(["begin", "saveOpened", "fence", "savePlan", "end"] as const)(
    "goes on after it was killed at %s, before and after, and takes the lease once",
    async (where) => {
      for (const moment of ["before", "after"] as const) {
        application = await bed.declare({
          ...bucket.location,
          prefix: `p-${where.toLowerCase()}-${moment}/`,
        });
        storage = {
          ...storageManifest(`store-of-${application}`),
          ...bucket.location,
          prefix: `p-${where.toLowerCase()}-${moment}/`,
        };
        events = [];
        await runAtTheirs();
        const killed = new Error("killed");
        const dying =
          <A extends unknown[], T>(name: string, work: (...args: A) => Promise<T>) =>
          async (...args: A): Promise<T> => {
            if (name === where && moment === "before") throw killed;
            const value = await work(...args);
            if (name === where) throw killed;
            return value;
          };
        const keys = keysWith();
        const mortal = {
          records: {
            begin: dying("begin", records.begin.bind(records)),
            saveOpened: dying("saveOpened", records.saveOpened.bind(records)),
            savePlan: dying("savePlan", records.savePlan.bind(records)),
            end: dying("end", records.end.bind(records)),
          },
          keys: { ...keys, fence: dying("fence", (key: AccessKey) => keys.fence(key)) },
        };
        await expect(adopt(mortal)).rejects.toBe(killed);
        if (where === "end" && moment === "after") {
          await expect(adopt()).rejects.toMatchObject({ code: "lease-mismatch" });
        } else expect(await adopt()).toMatchObject({ epoch: 2, from: them });
        expect(await lease()).toMatchObject({ owner: us, epoch: 2, state: "fenced" });
        expect(await records.epochOf(application)).toBe(2);
      }
    },
  );

  it.each<[string, string, () => Promise<Partial<Parameters<typeof adoptLease>[0]>>]>([
    ["without a fence", "fence-unproven", async () => ({ keys: null })],
    [
      "with a key that is not proven to be refused",
      "fence-unproven",
      async () => ({
        keys: keysWith(() => Promise.reject(new AppError("fence-unproven", "it took a write"))),
      }),
    ],
    [
      "with a key that cannot be tried",
      "secret-unavailable",
      async () => ({
        request: { application, writers: [{ file: "/nowhere" }], reason: "because" },
      }),
    ],
    ["of what is ours", "lease-mismatch", async () => ({ owner: them })],
  ])("is refused %s, and the lease stays as it is", async (_, code, change) => {
    await runAtTheirs();
    const before = bucket.objects.get(`/${storage.bucket}/${leaseKey(storage.prefix)}`);
    await expect(adopt(await change())).rejects.toMatchObject({ code });
    expect(bucket.objects.get(`/${storage.bucket}/${leaseKey(storage.prefix)}`)).toBe(before);
  });

  it("is refused where there is none", async () => {
    await expect(adopt()).rejects.toMatchObject({ code: "lease-missing" });
  });
});
