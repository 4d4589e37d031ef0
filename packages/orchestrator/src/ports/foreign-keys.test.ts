import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AccessKey, StorageManifest } from "@baton/protocol";
import type { Identities } from "@baton/storage/fence";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { storageManifest } from "../fixtures/records-bed.ts";
import { createForeignKeys } from "./foreign-keys.ts";

let directory: string;
let storage: StorageManifest;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-foreign-"));
  const file = async (name: string) => {
    const path = join(directory, `${name}.json`);
    await writeFile(path, JSON.stringify({ accessKeyId: name.toUpperCase(), secretAccessKey: "hunter2" }));
    return { file: path };
  };
  storage = {
    ...storageManifest("silo"),
    credentials: {
      control: await file("control"),
      data: await file("data"),
      dataByCluster: { "harbor-a": await file("other") },
    },
    fence: { provider: "minio", admin: await file("admin") },
  };
});
afterAll(() => rm(directory, { recursive: true }));

const refuse = () => Promise.reject(new Error("not asked for"));
const made: Identities = { prepare: refuse, issue: refuse, keyOf: refuse, disable: refuse, close: () => {} };
const open = (identities: Identities | null, measured: number | null = null) =>
  createForeignKeys({ storage, identities, inFlightMs: async () => measured });
const keyOf = (accessKeyId: string): AccessKey => ({ accessKeyId, secretAccessKey: "hunter2" });

describe("keys that Baton did not make", () => {
  it("cannot be taken away without a fence, nor by one that knows its own only", () => {
    expect(open(null)).toBeNull();
    expect(open(made)).toBeNull();
    expect(open({ ...made, disableKey: refuse })).not.toBeNull();
  });

  it.each(["CONTROL", "DATA", "OTHER", "ADMIN"])(
    "are not the storage's own, whatever somebody names: %s",
    async (id) => {
      const keys = open({ ...made, disableKey: refuse }, 1);
      for (const asked of [() => keys?.assertOpen(keyOf(id)), () => keys?.fence(keyOf(id))])
        await expect(asked()).rejects.toMatchObject({ code: "invalid-request" });
    },
  );

  it("are left alone while nobody knows how long the store waits for the rest of a write", async () => {
    const keys = open({ ...made, disableKey: refuse });
    for (const asked of [() => keys?.assertOpen(keyOf("OLD")), () => keys?.fence(keyOf("OLD"))])
      await expect(asked()).rejects.toMatchObject({
        code: "fence-unproven",
        message: expect.stringContaining("--in-flight") as unknown,
      });
  });
});
