import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { VersionPage } from "./bucket.port.ts";
import { inventoryOf, versionOf } from "./fixtures/inventory-samples.ts";
import type { Inventory, InventoryEntry } from "./inventory-entry.ts";
import { readInventory } from "./inventory-file.ts";
import { takeInventory } from "./inventory.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-inventory-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const fileOf = (name: string): string => join(directory, name);
const entries = Array.from({ length: 2_000 }, (_, n) =>
  versionOf(`data/${String(n).padStart(6, "0")} "ü"\n`, {
    size: n,
    etag: `"${n}-e"`,
    versionId: n % 2 === 0 ? null : `v${n}`,
  }),
);

async function read(file: string): Promise<{ entries: InventoryEntry[]; inventory: Inventory }> {
  const found: InventoryEntry[] = [];
  const pages = readInventory(file);
  let page = await pages.next();
  for (; page.done !== true; page = await pages.next()) found.push(...page.value);
  return { entries: found, inventory: page.value };
}

describe("an inventory's file", () => {
  it("gives back what was taken", async () => {
    const file = fileOf("whole");
    const taken = await inventoryOf(entries, { file });
    const { entries: found, inventory } = await read(file);
    expect(inventory).toEqual(taken);
    expect(inventory).toEqual(await inventoryOf(entries));
    expect(found).toEqual(
      entries.map(({ key, size, etag, versionId }) => ({
        key,
        size,
        etag: etag.slice(1, -1),
        version: versionId,
      })),
    );
  });

  it("of nothing can be read", async () => {
    const taken = await inventoryOf([], { file: fileOf("empty") });
    expect(await read(fileOf("empty"))).toEqual({ entries: [], inventory: taken });
  });

  it("is not there, nor a part of it, when the listing breaks off", async () => {
    const listVersions = async function* (): AsyncGenerator<VersionPage> {
      yield await Promise.resolve({ kind: "versions", entries });
      throw new Error("broken off");
    };
    const taking = takeInventory({
      bucket: { listVersions },
      prefix: "data/",
      pageTimeoutMs: 1_000,
      deadlineMs: 1_000,
      file: fileOf("broken"),
    });
    await expect(taking).rejects.toThrow("broken off");
    expect((await readdir(directory)).filter((name) => name.startsWith("broken"))).toEqual([]);
  });

  it("that cannot be written is no inventory", async () => {
    await expect(inventoryOf(entries, { file: fileOf("missing/file") })).rejects.toMatchObject({
      code: "ENOENT",
    });
  });

  it("that is not there cannot be read", async () => {
    await expect(read(fileOf("never"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("that is cut cannot be read, wherever it is", async () => {
    const few = entries.slice(0, 3);
    await inventoryOf(few, { file: fileOf("few") });
    const bytes = await readFile(fileOf("few"));
    const lines = gunzipSync(bytes);
    // Every seventh byte, and every end of a line and the byte before it; then compressed anew, as an editor would leave it.
    const isEnd = (length: number): boolean => lines[length] === 0x0a || lines[length - 1] === 0x0a;
    const cuts = [
      ...[...bytes.keys()]
        .filter((n) => n % 7 === 0 || n > bytes.length - 12)
        .map((n) => bytes.subarray(0, n)),
      ...[...lines.keys()].filter((n) => n % 7 === 0 || isEnd(n)).map((n) => gzipSync(lines.subarray(0, n))),
    ];
    for (const cut of cuts) {
      await writeFile(fileOf("cut"), cut);
      await expect(read(fileOf("cut"))).rejects.toMatchObject({ code: "internal" });
    }
    expect(cuts.length).toBeGreaterThan(60);
  });

  it.each([
    ["a size", (text: string) => text.replace(",1,", ",2,")],
    ["a key", (text: string) => text.replace("000001", "0000011")],
    ["an entry less", (text: string) => text.replace(/\["data\/000001.*\n/, "")],
    ["an entry more", (text: string) => text.replace(/(\["data\/000001)(.*\n)/, "$1$2$13$2")],
    ["entries out of order", (text: string) => text.replace(/(\["data\/000000.*\n)(\[.*\n)/, "$2$1")],
    ["another count", (text: string) => text.replace('"objects":3', '"objects":4')],
    ["another prefix", (text: string) => text.replace('"prefix":"data/"', '"prefix":"date/"')],
    ["another format", (text: string) => text.replace("inventory-1", "inventory-2")],
    ["an unknown line", (text: string) => text.replace("\n", "\n7\n")],
    ["a line too many", (text: string) => `${text}["z",1,"e",null]\n`],
  ])("with %s cannot be read", async (_, change) => {
    await inventoryOf(entries.slice(0, 3), { file: fileOf("changed") });
    const text = gunzipSync(await readFile(fileOf("changed"))).toString("utf8");
    expect(change(text)).not.toBe(text);
    await writeFile(fileOf("changed"), gzipSync(change(text)));
    await expect(read(fileOf("changed"))).rejects.toMatchObject({ code: "internal" });
  });
});
