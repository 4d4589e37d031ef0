import { mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStateDirectory, writeFileDurably } from "./state-directory.ts";

let parent: string;
let directory: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "baton-state-"));
  directory = join(parent, "deep", "state");
});
afterEach(() => rm(parent, { recursive: true }));

const names = ["admin-token", "command-key.json"];

describe("the state directory", () => {
  it("gets its secrets once, for nobody else to read", async () => {
    const secrets = await openStateDirectory(directory);
    expect(secrets.adminToken).toMatch(/^[\w-]{43}$/);
    expect(await openStateDirectory(directory)).toEqual(secrets);
    expect((await readdir(directory)).toSorted()).toEqual(names);
    for (const name of names) expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
  });

  it("gives the same secrets to starts that come at once", async () => {
    const all = await Promise.all(Array.from({ length: 16 }, () => openStateDirectory(directory)));
    expect(new Set(all.map((secrets) => JSON.stringify(secrets))).size).toBe(1);
    expect(await openStateDirectory(directory)).toEqual(all[0]);
    expect((await readdir(directory)).toSorted()).toEqual(names);
  });

  it("leaves to other files what they hold", async () => {
    const elsewhere = await openStateDirectory(join(parent, "elsewhere"));
    const files = {
      adminTokenFile: join(parent, "elsewhere", "admin-token"),
      commandKeyFile: join(parent, "elsewhere", "command-key.json"),
    };
    expect(await openStateDirectory(directory, files)).toEqual(elsewhere);
    expect(await readdir(directory)).toEqual([]);
  });

  it("never makes a file that was named, and says what is wrong with it, without its content", async () => {
    const file = join(parent, "named");
    for (const files of [{ adminTokenFile: file }, { commandKeyFile: file }]) {
      await rm(file, { force: true });
      await expect(openStateDirectory(directory, files)).rejects.toMatchObject({
        code: "invalid-configuration",
        message: expect.stringContaining(`${file}: it is not a file that can be read (ENOENT)`),
      });
      await writeFile(file, "hunter2");
      await expect(openStateDirectory(directory, files)).rejects.toMatchObject({
        code: "invalid-configuration",
        message: `cannot use ${file}: it is damaged; put the original back`,
      });
    }
  });

  it("says what is wrong with a place that cannot be written", async () => {
    await writeFile(join(parent, "file"), "");
    await expect(openStateDirectory(join(parent, "file", "state"))).rejects.toMatchObject({
      code: "invalid-configuration",
      message: expect.stringContaining("(ENOTDIR)"),
    });
    await expect(openStateDirectory("/sys/baton")).rejects.toMatchObject({
      code: "invalid-configuration",
      message: expect.stringContaining("cannot use the state directory /sys/baton"),
    });
  });

  it("refuses secrets that are damaged, and does not show them", async () => {
    await openStateDirectory(directory);
    for (const [name, text] of [
      ["command-key.json", '{"kty":"OKP","hunter2":1}'],
      ["command-key.json", "hunter2 {"],
      ["admin-token", "\n"],
    ] as const) {
      const path = join(directory, name);
      const original = await readFile(path, "utf8");
      await writeFile(path, text);
      const error = await openStateDirectory(directory).catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        code: "invalid-configuration",
        message: `cannot use ${path}: it is damaged; put the original back`,
      });
      expect(error).not.toHaveProperty("cause");
      await writeFile(path, original);
    }
  });
});

describe("a durable write", () => {
  it("is one of those that come at once, whole, and leaves nothing else", async () => {
    const path = join(parent, "url");
    const texts = Array.from({ length: 8 }, (_, n) => String(n).repeat(5_000));
    await Promise.all(texts.map((text) => writeFileDurably(path, text)));
    expect(texts).toContain(await readFile(path, "utf8"));
    expect(await readdir(parent)).toEqual(["url"]);
  });
});
