import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { storageManifest } from "../fixtures/records-bed.ts";
import { readAccessKey, readDatabaseLogin } from "./secrets.ts";
import { readDataKey } from "./storages.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-secrets-"));
});
afterAll(() => rm(directory, { recursive: true }));

const key = (accessKeyId: string) => ({ accessKeyId, secretAccessKey: "s" });
const file = async (name: string, text: string) => {
  const path = join(directory, name);
  await writeFile(path, text);
  return { file: path };
};

describe("a secret", () => {
  it("is read anew each time", async () => {
    const reference = await file("rotated", JSON.stringify(key("old")));
    expect(await readAccessKey(reference)).toEqual(key("old"));
    await file("rotated", JSON.stringify(key("new")));
    expect(await readAccessKey(reference)).toEqual(key("new"));
  });

  it("is not shown, in any part of any error", async () => {
    const contents = [
      "hunter2",
      '{"accessKeyId": "hunter2", "secretAccessKey": hunter2',
      '{"accessKeyId": "hunter2"}',
      '{"hunter2": "hunter2"}',
      JSON.stringify({ ...key("hunter2"), hunter2: 1 }),
      '["hunter2"]',
      "",
    ];
    for (const [n, content] of contents.entries()) {
      const reference = await file(`wrong-${n}`, content);
      const error = await readAccessKey(reference).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "secret-unavailable" });
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("hunter2");
    }
  });

  it("of a database is a name and a password", async () => {
    const login = { user: "admin", password: "hunter2" };
    expect(await readDatabaseLogin(await file("login", JSON.stringify(login)))).toEqual(login);
    await expect(readDatabaseLogin(await file("no-login", JSON.stringify(key("a"))))).rejects.toMatchObject({
      code: "secret-unavailable",
      message: expect.stringContaining("must be JSON of exactly user and password") as string,
    });
  });

  it("that is not there is told by its path", async () => {
    await expect(readAccessKey({ file: "/nowhere/key" })).rejects.toMatchObject({
      code: "secret-unavailable",
      message:
        "cannot read the secret /nowhere/key: there is no such file; create it or correct the manifest",
    });
  });
});

describe("a cluster's data key", () => {
  it("is its own where it has one", async () => {
    const storage = storageManifest("store");
    const credentials = {
      ...storage.credentials,
      data: await file("data", JSON.stringify(key("all"))),
      dataByCluster: { "harbor-b": await file("data-b", JSON.stringify(key("b"))) },
    };
    const read = (cluster: string) => readDataKey({ ...storage, credentials }, cluster);
    expect(await read("harbor-a")).toEqual(key("all"));
    expect(await read("harbor-b")).toEqual(key("b"));
    expect(await read("constructor")).toEqual(key("all"));
  });
});
