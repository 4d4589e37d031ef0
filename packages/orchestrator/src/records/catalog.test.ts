import { newPlacementId } from "@baton/protocol";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  type RecordsBed,
  applicationManifest,
  clusterManifest,
  databaseManifest,
  openRecordsBed,
  storageManifest,
} from "../fixtures/records-bed.ts";
import { ProbeRecords } from "./probe-records.ts";

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
    const { id, target } = await bed.begin({ kind: "deploy", application, to: "harbor-a" });
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

  it("tells who uses a storage: whoever names it, and whoever has a placement on it", async () => {
    const { application, target } = await bed.deployed();
    const { storage } = await bed.catalog.application(application);
    expect(await bed.catalog.usersOf(storage)).toEqual([{ name: application, placements: 1 }]);
    await bed.catalog.putStorage(storageManifest("spare"));
    const manifest = await bed.catalog.application(application);
    await bed.catalog.putApplication({ ...manifest, storage: "spare" });
    expect(await bed.catalog.usersOf(storage)).toEqual([{ name: application, placements: 1 }]);
    expect(await bed.catalog.usersOf("spare")).toEqual([{ name: application, placements: 0 }]);
    await bed.placements.retire(target);
    expect(await bed.catalog.usersOf(storage)).toEqual([]);
  });

  it("removes a storage, and what was seen of it, once nobody uses it", async () => {
    const { application, target } = await bed.deployed();
    const manifest = await bed.catalog.application(application);
    const { storage } = manifest;
    const refused = (what: string) => ({ code: "in-use", message: expect.stringContaining(what) as string });
    await expect(bed.catalog.removeStorage(storage)).rejects.toMatchObject(refused("has a placement on it"));
    await bed.placements.retire(target);
    await expect(bed.catalog.removeStorage(storage)).rejects.toMatchObject(refused("names it"));
    await bed.catalog.putStorage(storageManifest("spare"));
    await bed.catalog.putApplication({ ...manifest, storage: "spare" });
    const probes = new ProbeRecords(bed.database);
    const failure = { code: "internal", detail: "it" };
    for (const name of [storage, "spare"])
      await probes.addInFlight({ storage: name, subject: "it" }, failure);

    await bed.catalog.removeStorage(storage);
    await expect(bed.catalog.storage(storage)).rejects.toMatchObject({ code: "unknown-storage" });
    expect(await probes.inFlight({ storage, subject: "it" })).toBeNull();
    expect(await probes.inFlight({ storage: "spare", subject: "it" })).not.toBeNull();
    await expect(bed.catalog.removeStorage(storage)).rejects.toMatchObject({ code: "unknown-storage" });
    // What it served is still on record.
    expect((await bed.placements.find(target)).storage.name).toBe(storage);
  });

  it("does not remove a storage that an application is just being given", async () => {
    await bed.catalog.putStorage(storageManifest("wanted"));
    const { removed } = await bed.database.transaction().execute(async (transaction) => {
      await transaction
        .selectFrom("storages")
        .select("name")
        .where("name", "=", "wanted")
        .forKeyShare()
        .execute();
      await transaction
        .insertInto("applications")
        .values({ name: "newcomer", manifest: JSON.stringify(applicationManifest("newcomer", "wanted")) })
        .execute();
      const settled = bed.catalog.removeStorage("wanted").catch((error: unknown) => error);
      await vi.waitFor(async () => {
        const waiting = sql`select 1 from pg_stat_activity where wait_event_type = 'Lock'`;
        expect((await waiting.execute(bed.database)).rows).toHaveLength(1);
      });
      return { removed: settled };
    });
    expect(await removed).toMatchObject({ code: "in-use" });
  });

  it("gives a deployment the database as it was then, and keeps one that a placement uses as it is", async () => {
    const application = await bed.declare();
    const manifest = { ...(await bed.catalog.application(application)), database: "books" };
    await expect(bed.catalog.putApplication(manifest)).rejects.toMatchObject({ code: "unknown-database" });
    const books = databaseManifest("books");
    await bed.catalog.putDatabase(books);
    await bed.catalog.putApplication(manifest);
    const { target } = await bed.begin({ kind: "deploy", application, to: "harbor-a" });
    expect(await bed.placements.find(target)).toMatchObject({ database: books });
    const moved = { ...books, url: "postgres://elsewhere/books" };
    await bed.catalog.putDatabase(books);
    await expect(bed.catalog.putDatabase(moved)).rejects.toMatchObject({
      code: "in-use",
      message: expect.stringContaining(target) as string,
    });
    await bed.placements.retire(target);
    await bed.catalog.putDatabase(moved);
    expect(await bed.placements.find(target)).toMatchObject({ database: books });
    expect(await bed.catalog.databases()).toEqual([moved]);
  });

  it("knows no database of an application that names none", async () => {
    const { target } = await bed.deployed();
    expect(await bed.placements.find(target)).toMatchObject({ database: null });
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
