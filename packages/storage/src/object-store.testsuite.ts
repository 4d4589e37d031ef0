import { isAppError } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ObjectStore, PutResult } from "./object-store.port.ts";

export interface ObjectStoreSetup {
  /** May write everything in an empty bucket. */
  readonly store: ObjectStore;
  /** The same bucket with a key that may write below "data/" only. */
  readonly restricted: ObjectStore;
  readonly teardown: () => Promise<void> | void;
}

export interface ObjectStoreCapabilities {
  /** Every loser of a race for one ETag is refused; else it may be told that nothing is known (500), and must have lost all the same. */
  readonly tellsLosers: boolean;
}

/** What every store that leases are kept in must do: run on the one in memory and on real endpoints. */
export function testObjectStore(
  name: string,
  setup: () => Promise<ObjectStoreSetup> | ObjectStoreSetup,
  { tellsLosers }: ObjectStoreCapabilities = { tellsLosers: true },
): void {
  describe(`ObjectStore of ${name}`, () => {
    const timeoutMs = 5_000;
    const absent = { kind: "absent" } as const;
    const match = (etag: string) => ({ kind: "match", etag }) as const;
    let given: ObjectStoreSetup;
    let store: ObjectStore;
    beforeAll(async () => {
      given = await setup();
      store = given.store;
    });
    afterAll(() => given.teardown());

    const textOf = async (key: string): Promise<string | undefined> => {
      const object = await store.get({ key, timeoutMs });
      return object === null ? undefined : Buffer.from(object.body).toString("utf8");
    };
    const stored = async (key: string, body: string): Promise<string> => {
      const result = await store.put({ key, body, timeoutMs });
      if (result.kind !== "stored") throw new Error(`not stored: ${key}`);
      return result.etag;
    };

    it("gives null for a key that was never written", async () => {
      expect(await store.get({ key: "never", timeoutMs })).toBeNull();
    });

    it("gives back the bytes with the ETag of the write", async () => {
      const body = Uint8Array.from({ length: 256 }, (_, n) => n);
      const put = await store.put({ key: "bytes", body, timeoutMs });
      const object = await store.get({ key: "bytes", timeoutMs });
      expect(put).toEqual({ kind: "stored", etag: object?.etag });
      expect(Buffer.from(object?.body ?? "")).toEqual(Buffer.from(body));
    });

    it.each(["", "ü ö", "a\r\nb"])("keeps %j", async (body) => {
      await stored("text", body);
      expect(await textOf("text")).toBe(body);
    });

    it.each(["a/b/c", "a b", "a+b", "a%2Fb", "é", "ü/😀 ö", "(a)'!*", "a:b@c=d&e?f#g,;$", "~x", "..a/b.."])(
      "knows the key %j from others",
      async (key) => {
        await stored(key, key);
        expect(await textOf(key)).toBe(key);
      },
    );

    it("overwrites without a condition", async () => {
      await stored("over", "1");
      await stored("over", "2");
      expect(await textOf("over")).toBe("2");
    });

    it("creates once", async () => {
      expect(await store.put({ key: "once", body: "1", condition: absent, timeoutMs })).toMatchObject({
        kind: "stored",
      });
      expect(await store.put({ key: "once", body: "2", condition: absent, timeoutMs })).toEqual({
        kind: "refused",
      });
      expect(await textOf("once")).toBe("1");
    });

    it("replaces what has the ETag, and nothing else", async () => {
      const first = await stored("match", "1");
      const replaced = await store.put({ key: "match", body: "2", condition: match(first), timeoutMs });
      expect(replaced.kind).toBe("stored");
      expect(await store.put({ key: "match", body: "3", condition: match(first), timeoutMs })).toEqual({
        kind: "refused",
      });
      expect(await textOf("match")).toBe("2");
    });

    it("refuses to replace what is not there", async () => {
      const etag = await stored("other", "1");
      expect(await store.put({ key: "missing", body: "1", condition: match(etag), timeoutMs })).toEqual({
        kind: "refused",
      });
      expect(await textOf("missing")).toBeUndefined();
    });

    it("removes, also what is not there, and creates again", async () => {
      await stored("removed", "1");
      await store.remove({ key: "removed", timeoutMs });
      await store.remove({ key: "removed", timeoutMs });
      expect(await textOf("removed")).toBeUndefined();
      expect(await store.put({ key: "removed", body: "2", condition: absent, timeoutMs })).toMatchObject({
        kind: "stored",
      });
    });

    it("lets one of sixteen writes win, created or replaced", async () => {
      const etag = await stored("race-match", "0");
      const lost = (error: unknown): PutResult => {
        if (!tellsLosers && isAppError(error) && error.code === "storage-unclear") return { kind: "refused" };
        throw error;
      };
      for (const [key, condition] of [
        ["race-absent", absent],
        ["race-match", match(etag)],
      ] as const) {
        const results = await Promise.all(
          Array.from({ length: 16 }, (_, n) =>
            store.put({ key, body: `${n + 1}`, condition, timeoutMs }).catch(lost),
          ),
        );
        const won = results.flatMap(({ kind }, n) => (kind === "stored" ? [`${n + 1}`] : []));
        expect(won).toEqual([await textOf(key)]);
      }
    });

    it("keeps a key to what it may write", async () => {
      const { restricted } = given;
      const denied = expect.objectContaining({ code: "storage-credentials" }) as unknown;
      await stored(".baton/lease", "1");
      await expect(restricted.put({ key: ".baton/lease", body: "2", timeoutMs })).rejects.toEqual(denied);
      await expect(restricted.remove({ key: ".baton/lease", timeoutMs })).rejects.toEqual(denied);
      expect(await textOf(".baton/lease")).toBe("1");
      expect(await restricted.put({ key: "data/x", body: "1", timeoutMs })).toMatchObject({ kind: "stored" });
      await restricted.remove({ key: "data/x", timeoutMs });
    });
  });
}
