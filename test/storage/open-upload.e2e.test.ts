/* P1 on real stores: what was being uploaded in parts when its key was taken away never becomes an object. A case of docs/fault-cases.md. */
import { newPlacementId } from "@baton/protocol";
import { openObjectStore } from "@baton/storage";
import { findOpenUploads, openBucket, takeInventory } from "@baton/storage/bucket";
import { fenceCredentials, identityOf } from "@baton/storage/fence";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type StoreBed, bedMs, ceph, minio } from "./store-bed.ts";

const prefix = "ledger/";
const timeoutMs = 10_000;

describe.each([
  { store: ceph, listsUploads: true },
  { store: minio, listsUploads: false },
])("an upload in parts on $store.meta.needs.part", ({ store, listsUploads }) => {
  describe("that is open at the fence", { skip: store.missing !== null, meta: store.meta }, () => {
    let bed: StoreBed;
    beforeAll(async () => {
      bed = await store.open();
    }, bedMs);
    afterAll(() => bed.close(), bedMs);

    it("fault case 18: is aborted where the store lists it, and completed by its old key nowhere", async () => {
      const bucket = await bed.makeBucket();
      const { endpoints, region, ifMatch, root } = bed;
      const identities = bed.openIdentities({ bucket, prefix });
      const identity = identityOf({ bucket, prefix }, newPlacementId(), 1);
      await identities.prepare({ timeoutMs });
      const accessKey = await identities.issue({ identity, timeoutMs });
      const at = endpoints.map((endpoint) => ({ endpoint, region, bucket, ifMatch }));
      const writers = at.map((place) => openBucket({ ...place, accessKey }));
      const doors = at.map((place) => ({ ...place, store: openObjectStore({ ...place, accessKey }) }));
      const [place = { endpoint: "", region, bucket, ifMatch }] = at;
      const administrator = openBucket({ ...place, accessKey: root });
      const opened = [...writers, ...doors.map((door) => door.store), administrator];
      const listing = { prefix, pageTimeoutMs: timeoutMs, deadlineMs: timeoutMs };
      const inventory = () => takeInventory({ bucket: administrator, ...listing });
      try {
        const [writer] = writers;
        if (writer === undefined) throw new Error("there is no endpoint");
        const begin = async (key: string) => {
          const upload = await writer.createMultipart({ key: prefix + key, timeoutMs });
          const part = await writer.uploadPart({ ...upload, partNumber: 1, body: "late", timeoutMs });
          return { ...upload, parts: [part], timeoutMs };
        };
        // A key that is good completes it: what follows is the fence's doing.
        await writer.completeMultipart(await begin("before"));
        const upload = await begin("after");
        const record = await fenceCredentials({
          identities,
          identity,
          doors,
          prefix,
          settleMs: 1_000,
          deadlineMs: 60_000,
          abortUploads: async () => {
            const { uploads, complete } = await findOpenUploads({ bucket: administrator, ...listing });
            for (const one of uploads) await administrator.abortUpload({ ...one, timeoutMs });
            return { aborted: uploads.length, complete };
          },
          takeInventory: inventory,
        });
        expect(record.uploads).toEqual({ aborted: listsUploads ? 1 : 0, complete: listsUploads });
        const denied = { code: "storage-credentials" };
        for (const each of writers) {
          await expect(each.completeMultipart(upload)).rejects.toMatchObject(denied);
          const more = { ...upload, partNumber: 2, body: "later" };
          await expect(each.uploadPart(more)).rejects.toMatchObject(denied);
        }
        // What was completed before, and nothing else.
        expect(record.inventory.objects).toBe(1);
        expect(await inventory()).toMatchObject({ objects: 1, digest: record.inventory.digest });
      } finally {
        for (const each of opened) each.close();
        identities.close();
      }
    });
  });
});
