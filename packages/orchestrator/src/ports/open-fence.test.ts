import { type PrivateKey, type StorageManifest, createKeyPair } from "@baton/protocol";
import { beforeAll, describe, expect, it } from "vitest";
import { applicationManifest, databaseManifest, storageManifest } from "../fixtures/records-bed.ts";
import { openFence, openKeys } from "./open-fence.ts";

const application = "ledger";
const plain = storageManifest("silo");
const fenced: StorageManifest = { ...plain, fence: { provider: "minio", admin: { file: "/secrets/admin" } } };
const database = databaseManifest("books");
const writing = applicationManifest("ledger", "silo");
const leased = { ...writing, storageUse: "lease" } as const;
const holder = { placement: "pl-00000000000000000001", epoch: 1 };
const signal = new AbortController().signal;

let signingKey: PrivateKey;
beforeAll(async () => {
  ({ privateKey: signingKey } = await createKeyPair());
});
const open = (deployment: Parameters<typeof openFence>[0]["deployment"]) =>
  openFence({ deployment, signingKey, probeRecords: { inFlight: async () => null } });

describe("an application's fence", () => {
  it("is none without a database on a storage that has none", () => {
    expect(open({ application, manifest: writing, storage: plain, database: null })).toBeNull();
    expect(open({ application, manifest: leased, storage: plain, database: null })).toBeNull();
  });

  it("is never that of its database alone while it has a key to a bucket without one", async () => {
    const fence = open({ application, manifest: writing, storage: plain, database });
    for (const attempt of [fence?.assertOpen(holder, signal), fence?.apply(holder, signal)])
      await expect(attempt).rejects.toMatchObject({
        code: "fence-unproven",
        message: expect.stringContaining('the storage "silo" has no fence') as string,
      });
  });

  it.each([
    ["has no key to its bucket", { application, manifest: leased, storage: plain, database }],
    [
      "has no key to its bucket, which has a fence",
      { application, manifest: leased, storage: fenced, database },
    ],
    ["has a fence for both", { application, manifest: writing, storage: fenced, database }],
  ])("asks the database first where it %s", async (_, deployment) => {
    // Nobody has written the administrator's password down.
    await expect(open(deployment)?.apply(holder, signal)).rejects.toMatchObject({
      code: "secret-unavailable",
      message: expect.stringContaining("/secrets/admin") as string,
    });
  });

  it("counts on no key that it was never given", () => {
    expect(openKeys({ application, manifest: leased, storage: fenced, database }, signingKey)).toMatchObject({
      storage: null,
      identities: null,
      roles: { admin: {} },
    });
    expect(openKeys({ application, manifest: writing, storage: plain, database: null }, signingKey)).toEqual({
      storage: plain,
      identities: null,
      roles: null,
    });
  });
});
