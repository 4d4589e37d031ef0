import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ObjectStore, type WriteCondition } from "./object-store.ts";
import { temporaryDirectory } from "./test-store.ts";

let directory: string;
let remove: () => Promise<void>;
let store: ObjectStore;

beforeEach(async () => {
  ({ directory, remove } = await temporaryDirectory());
  store = await ObjectStore.open(directory, { ignoreConditions: false });
});
afterEach(async () => {
  await store.close();
  await remove();
});

/** Prepares a put whose body is the key's name and a number; the result commits it. */
async function prepare(key: string, at: number, condition: WriteCondition = { kind: "none" }) {
  const file = `bodies/${key}-${at}`;
  await writeFile(join(directory, file), file);
  const etag = `"${createHash("md5").update(file).digest("hex")}"`;
  const body = { file, etag, size: file.length };
  return { etag, commit: () => store.commit({ bucket: "harbor", key, accessKeyId: "ALL", condition, body }) };
}

/** Commits all of them behind a write that keeps the disk busy, so that they share one batch. */
async function commitTogether(writes: ReadonlyArray<{ commit(): Promise<unknown> }>) {
  const busy = await prepare("busy", 0);
  const [, ...results] = await Promise.allSettled([busy, ...writes].map((write) => write.commit()));
  return results.map((result) => (result.status === "fulfilled" ? "committed" : String(result.reason.code)));
}

describe("ObjectStore", () => {
  it("lets one of 16 creators win that share a batch", async () => {
    const creators = await Promise.all(
      Array.from({ length: 16 }, (_, at) => prepare("a", at, { kind: "absent" })),
    );
    const lost = Array.from({ length: 15 }, () => "PreconditionFailed");
    expect(await commitTogether(creators)).toEqual(["committed", ...lost]);
  });

  it("decides a batch in its order", async () => {
    const first = await prepare("a", 1, { kind: "absent" });
    const second = await prepare("a", 2, { kind: "match", etag: first.etag });
    const stale = await prepare("a", 3, { kind: "match", etag: first.etag });
    const erase = {
      commit: () =>
        store.commit({
          bucket: "harbor",
          key: "a",
          accessKeyId: "ALL",
          condition: { kind: "match", etag: second.etag },
        }),
    };
    const missing = await prepare("a", 4, { kind: "match", etag: "*" });
    const again = await prepare("a", 5, { kind: "absent" });
    expect(await commitTogether([first, second, stale, erase, missing, again])).toEqual([
      "committed",
      "committed",
      "PreconditionFailed",
      "committed",
      "NoSuchKey",
      "committed",
    ]);
    expect(store.commits.map((entry) => entry.sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(store.objects("harbor").get("a")?.file).toBe("bodies/a-5");
  });

  it("acknowledges and shows a write only when its line is in the log", async () => {
    for (let at = 0; at < 20; at += 1) {
      const write = await prepare(`key-${at}`, at);
      const committed = write.commit();
      expect(store.objects("harbor").has(`key-${at}`)).toBe(false);
      await committed;
      expect(readFileSync(join(directory, "commits.jsonl"), "utf8")).toContain(`"key-${at}"`);
      expect(store.objects("harbor").has(`key-${at}`)).toBe(true);
    }
  });

  it("finishes the writes under way when it closes, and refuses later ones", async () => {
    const writes = await Promise.all([1, 2, 3].map((at) => prepare("a", at)));
    const late = await prepare("a", 4);
    const under = writes.map((write) => write.commit());
    await store.close();
    await expect(Promise.all(under)).resolves.toHaveLength(3);
    await expect(late.commit()).rejects.toThrow("the store is closed");
    store = await ObjectStore.open(directory, { ignoreConditions: false });
    expect(store.commits).toHaveLength(3);
  });
});
