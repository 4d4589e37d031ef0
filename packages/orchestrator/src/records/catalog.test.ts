import { newPlacementId } from "@baton/protocol";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  type RecordsBed,
  clusterManifest,
  openRecordsBed,
  storageManifest,
} from "../fixtures/records-bed.ts";

let bed: RecordsBed;
beforeAll(async () => {
  bed = await openRecordsBed();
});
afterAll(() => bed.end());

describe("the catalog", () => {
  it("takes another manifest of what nothing uses", async () => {
    await bed.catalog.putCluster(clusterManifest("pier"));
    await bed.catalog.putCluster({ ...clusterManifest("pier"), directory: "/elsewhere" });
    expect(await bed.catalog.cluster("pier")).toMatchObject({ directory: "/elsewhere" });
  });

  it("keeps what a placement uses as it is, and takes the same manifest in any order of its fields", async () => {
    const { application, target } = await bed.deployed();
    const storage = await bed.catalog.storage((await bed.catalog.application(application)).storage);
    const reordered = Object.fromEntries(Object.entries(storage).toReversed()) as typeof storage;
    await bed.catalog.putStorage(reordered);
    await bed.catalog.putCluster(clusterManifest("harbor-a"));
    await expect(bed.catalog.putStorage({ ...storage, bucket: "elsewhere" })).rejects.toMatchObject({
      code: "in-use",
      message: expect.stringContaining(target),
    });
    await expect(
      bed.catalog.putCluster({ ...clusterManifest("harbor-a"), directory: "/elsewhere" }),
    ).rejects.toMatchObject({ code: "in-use" });
    expect(await bed.catalog.storage(storage.name)).toEqual(storage);
    expect(await bed.catalog.cluster("harbor-a")).toEqual(clusterManifest("harbor-a"));
  });

  it("lets a storage change once its last placement is retired", async () => {
    const application = await bed.declare();
    const { storage: name } = await bed.catalog.application(application);
    const { id, target } = await bed.insert({ kind: "deploy", application, to: "harbor-a" });
    const changed = { ...storageManifest(name), settleMs: 1 };
    await expect(bed.catalog.putStorage(changed)).rejects.toMatchObject({ code: "in-use" });
    await bed.operations.end(id, { state: "rolled-back", reason: { code: "internal", detail: "" } });
    await bed.placements.retire(target);
    await bed.catalog.putStorage(changed);
    expect(await bed.catalog.storage(name)).toEqual(changed);
  });

  it("waits for a placement that is being made at this moment", async () => {
    const { application, target } = await bed.deployed();
    const { deployment } = await bed.placements.find(target);
    await bed.catalog.putCluster(clusterManifest("quay"));
    const { put } = await bed.database.transaction().execute(async (transaction) => {
      const id = newPlacementId();
      await transaction
        .insertInto("placements")
        .values({ id, application, deployment, cluster: "quay" })
        .execute();
      const changing = bed.catalog.putCluster({ ...clusterManifest("quay"), directory: "/elsewhere" });
      const settled = changing.catch((error: unknown) => error);
      await vi.waitFor(async () => {
        const waiting = sql`select 1 from pg_stat_activity where wait_event_type = 'Lock'`;
        expect((await waiting.execute(bed.database)).rows).toHaveLength(1);
      });
      return { put: settled };
    });
    expect(await put).toMatchObject({ code: "in-use" });
  });

  it("names what there is where it has not what is asked for", async () => {
    await expect(bed.catalog.cluster("nowhere")).rejects.toMatchObject({
      code: "unknown-cluster",
      message: expect.stringContaining("harbor-a, harbor-b"),
    });
    await expect(bed.catalog.storage("nothing")).rejects.toMatchObject({ code: "unknown-storage" });
    await expect(bed.catalog.application("nobody")).rejects.toMatchObject({ code: "unknown-application" });
    const application = await bed.catalog.application((await bed.deployed()).application);
    await expect(
      bed.catalog.putApplication({ ...application, name: "lost", storage: "nothing" }),
    ).rejects.toMatchObject({ code: "unknown-storage" });
    expect((await bed.catalog.applications()).map(({ name }) => name)).not.toContain("lost");
  });
});
