import type { AppError } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BucketPort, OpenUpload, VersionEntry, Versioning } from "./bucket.port.ts";
import { takeInventory } from "./inventory.ts";
import { listsNestedKeys } from "./nested-keys.ts";
import { findOpenUploads } from "./open-uploads.ts";
import type { ObjectStore } from "./object-store.port.ts";

/** What a store is known to do; where it does not, the suite checks that it is told and not guessed. */
export interface BucketCapabilities {
  /** What it says of a bucket whose versioning nobody turned on. */
  readonly versioning: Versioning["status"];
  readonly versions: boolean;
  /** Lists "a/b" where there is an object "a"; MinIO hides it. */
  readonly nestedKeys: boolean;
  readonly multipart: boolean;
  /** Lists the open uploads below a prefix; MinIO only those of the very key that is given as the prefix, and none for any other. */
  readonly uploadsByPrefix: boolean;
  /** Honours If-None-Match when an upload is completed. */
  readonly conditionalComplete: boolean;
  /** Honours If-Match of a removal. */
  readonly conditionalRemove: boolean;
  readonly presign: boolean;
}

export interface BucketSetup {
  /** An empty bucket, listed by pages of three. */
  readonly bucket: BucketPort;
  /** The same bucket. */
  readonly store: ObjectStore;
  /** Another empty bucket, with versioning; where the store has versions. */
  readonly versioned?: { readonly bucket: BucketPort; readonly store: ObjectStore };
  /** The bucket with something wrong about it. */
  readonly open: (wrong: "bucket" | "key" | "secret" | "port") => BucketPort;
  readonly teardown: () => Promise<void> | void;
}

/** What every bucket that is fenced and taken stock of must do: run on real endpoints. */
export function testBucket(
  name: string,
  capabilities: BucketCapabilities,
  setup: () => Promise<BucketSetup>,
): void {
  describe(`BucketPort of ${name}`, () => {
    const timeoutMs = 10_000;
    const limit = { pageTimeoutMs: 10_000, deadlineMs: 60_000 };
    let given: BucketSetup;
    let bucket: BucketPort;
    let store: ObjectStore;
    beforeAll(async () => {
      given = await setup();
      ({ bucket, store } = given);
    });
    afterAll(() => given.teardown());

    const itIf = (has: boolean): typeof it | (() => void) => (has ? it : () => undefined);
    const list = async (prefix: string, from = bucket): Promise<VersionEntry[]> => {
      const entries: VersionEntry[] = [];
      for await (const page of from.listVersions({ ...limit, prefix })) entries.push(...page.entries);
      return entries;
    };
    const put = async (key: string, body: string, to = store): Promise<string> => {
      const result = await to.put({ key, body, timeoutMs });
      if (result.kind !== "stored") throw new Error(`not stored: ${key}`);
      return result.etag;
    };
    const textOf = async (key: string): Promise<string | undefined> => {
      const object = await store.get({ key, timeoutMs });
      return object === null ? undefined : Buffer.from(object.body).toString("utf8");
    };
    const bare = (etag: string): string => etag.replaceAll('"', "");
    const uploadOf = async (key: string, body: string) => {
      const upload = await bucket.createMultipart({ key, timeoutMs });
      return { ...upload, parts: [await bucket.uploadPart({ ...upload, partNumber: 1, body, timeoutMs })] };
    };

    it("lists nothing where there is nothing", async () => {
      expect(await list("nothing/")).toEqual([]);
    });

    it.each([1, 2, 3, 4, 6, 7])("lists %i objects, with what was written", async (count) => {
      const keys = Array.from({ length: count }, (_, n) => `pages-${count}/${n}`);
      const etags = await Promise.all(keys.map((key, n) => put(key, "x".repeat(n))));
      await put(`pages-${count}0`, "beside the prefix");
      const entries = await list(`pages-${count}/`);
      expect(entries.map(({ etag, ...entry }) => ({ ...entry, etag: bare(etag) }))).toEqual(
        keys.map((key, size) => {
          const etag = bare(etags[size] ?? "");
          return { key, size, etag, versionId: null, isLatest: true, deleteMarker: false };
        }),
      );
    });

    it("lists keys of every kind as they are, in the order of their bytes", async () => {
      const names = ["a b", "a%2Fb", "a&b", "a+b", "a/b", "a\u{7f}b", "a\u{1}b", "a<b>", 'a"b'];
      const keys = [...names, "é", "\u{ffee}", "\u{1f600}"].map((each) => `kinds/${each}`);
      for (const key of keys) await put(key, key);
      const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect((await list("kinds/")).map(({ key }) => key)).toEqual(sorted);
    });

    it("has another inventory after every change, and the same without one", async () => {
      const digestOf = async (from = bucket): Promise<string> =>
        (await takeInventory({ ...limit, bucket: from, prefix: "taken/" })).digest;
      const nothing = await digestOf();
      await put("taken/a", "1");
      const one = await digestOf();
      await put("taken/b", "1");
      await put("takes", "beside the prefix");
      const two = await digestOf();
      await put("taken/b", "2");
      const changed = await digestOf();
      expect(new Set([nothing, one, two, changed]).size).toBe(4);
      await put("taken/b", "1");
      expect(await digestOf()).toBe(two);
      await store.remove({ key: "taken/b", timeoutMs });
      expect(await digestOf()).toBe(one);
      await store.remove({ key: "taken/a", timeoutMs });
      expect(await digestOf()).toBe(nothing);

      if (given.versioned === undefined) return;
      const { bucket: versions, store: written } = given.versioned;
      await put("taken/a", "1", written);
      const first = await digestOf(versions);
      expect(first).not.toBe(one);
      await put("taken/a", "1", written);
      expect(await digestOf(versions)).not.toBe(first);
    });

    it("lists keys below keys, or is known not to", async () => {
      const found = await listsNestedKeys({ ...limit, store, bucket, prefix: "nested/" });
      expect(found).toBe(capabilities.nestedKeys);
      expect(await list("nested/")).toEqual([]);
    });

    it("tells the versioning", async () => {
      const { status, why } = await bucket.readVersioning({ timeoutMs });
      expect(status).toBe(capabilities.versioning);
      expect(why).not.toBe("");
    });

    itIf(capabilities.versions)(
      "lists every version and delete marker, the latest of a key first",
      async () => {
        const { bucket: versions, store: written } = given.versioned ?? given;
        expect(await versions.readVersioning({ timeoutMs })).toMatchObject({ status: "enabled" });
        for (let n = 0; n < 5; n += 1) await put("v/a", `${n}`, written);
        await put("v/b", "1", written);
        await written.remove({ key: "v/b", timeoutMs });
        await put("v/b", "22", written);
        await put("v/c", "1", written);
        await written.remove({ key: "v/c", timeoutMs });

        const entries = await list("v/", versions);
        const shown = entries.map(({ key, isLatest, deleteMarker }) =>
          [key, isLatest ? "latest" : "", deleteMarker ? "deleted" : ""].join(" ").trim(),
        );
        expect(shown.filter((each) => each.startsWith("v/a"))).toEqual([
          "v/a latest",
          ...Array(4).fill("v/a"),
        ]);
        expect(shown.filter((each) => each.startsWith("v/b"))[0]).toBe("v/b latest");
        expect(shown.filter((each) => each.startsWith("v/b")).toSorted()).toEqual([
          "v/b",
          "v/b  deleted",
          "v/b latest",
        ]);
        expect(shown.filter((each) => each.startsWith("v/c"))).toEqual(["v/c latest deleted", "v/c"]);
        expect(shown).toHaveLength(10);
        const ids = entries.map(({ versionId }) => versionId);
        expect(ids).not.toContain(null);
        expect(new Set(ids).size).toBe(10);
        expect(entries.filter(({ key, isLatest }) => key === "v/b" && isLatest)).toMatchObject([{ size: 2 }]);
      },
    );

    it("removes what has the ETag, and nothing else", async () => {
      const first = await put("remove", "1");
      const second = await put("remove", "2");
      const removed = await bucket.removeIf({ key: "remove", etag: first, timeoutMs });
      if (!capabilities.conditionalRemove) return expect(removed).toBe("removed");
      expect(removed).toBe("refused");
      expect(await textOf("remove")).toBe("2");
      expect(await bucket.removeIf({ key: "remove", etag: second, timeoutMs })).toBe("removed");
      expect(await textOf("remove")).toBeUndefined();
      expect(await bucket.removeIf({ key: "remove", etag: second, timeoutMs })).toBe("refused");
    });

    itIf(!capabilities.multipart)(
      "says of multipart uploads that there are none to be had, where that is so",
      async () => {
        const refused = expect.objectContaining({ code: "storage-failed" }) as unknown;
        await expect(bucket.listUploads({ ...limit, prefix: "u/" })).rejects.toEqual(refused);
        await expect(bucket.createMultipart({ key: "u/a", timeoutMs })).rejects.toEqual(refused);
      },
    );

    itIf(capabilities.multipart)("completes an upload", async () => {
      const completed = await bucket.completeMultipart({ ...(await uploadOf("u/one", "1")), timeoutMs });
      expect(completed).toBe("completed");
      expect(await textOf("u/one")).toBe("1");
    });

    itIf(capabilities.multipart)(
      "completes an upload only if there is nothing, where that is asked",
      async () => {
        const condition = { kind: "absent" } as const;
        const first = await uploadOf("u/once", "1");
        const second = await uploadOf("u/once", "2");
        const complete = (upload: typeof first) =>
          bucket.completeMultipart({ ...upload, condition, timeoutMs });
        expect(await complete(first)).toBe("completed");
        const again = await complete(second);
        expect(again).toBe(capabilities.conditionalComplete ? "refused" : "completed");
        await bucket.abortUpload({ ...second, timeoutMs });
      },
    );

    itIf(capabilities.multipart)("lists open uploads, and aborts them, again too", async () => {
      const keys = ["1", "1", "a+b c", "a%2Fb", "é", "\u{1}", "7", "8"].map((name) => `open/${name}`);
      const opened = await Promise.all(keys.map((key) => bucket.createMultipart({ key, timeoutMs })));
      const beside = await bucket.createMultipart({ key: "opened", timeoutMs });
      const names = (uploads: readonly OpenUpload[]): string[] =>
        uploads.map(({ key, uploadId }) => `${key} ${uploadId}`).toSorted();
      const listUploads = async (): Promise<OpenUpload[]> => {
        const prefixes = capabilities.uploadsByPrefix ? ["open/"] : new Set(keys);
        const found: OpenUpload[] = [];
        for (const prefix of prefixes) found.push(...(await bucket.listUploads({ ...limit, prefix })));
        return found;
      };
      const listed = await listUploads();
      expect(names(listed)).toEqual(names(opened));
      const found = await findOpenUploads({ ...limit, bucket, prefix: "open/" });
      expect(found.complete).toBe(capabilities.uploadsByPrefix);
      expect(names(found.uploads)).toEqual(capabilities.uploadsByPrefix ? names(opened) : []);
      for (const upload of [...listed, ...listed, beside]) await bucket.abortUpload({ ...upload, timeoutMs });
      expect(await listUploads()).toEqual([]);
    });

    itIf(capabilities.presign)("lets whoever has the URL put that key", async () => {
      const url = await bucket.presignPut({ key: "signed/a b", validitySeconds: 60 });
      const { status } = await fetch(url, { method: "PUT", body: "by URL" });
      expect(status).toBe(200);
      expect(await textOf("signed/a b")).toBe("by URL");
      const other = await fetch(url.replace("signed/a%20b", "signed/b"), { method: "PUT", body: "by URL" });
      expect(other.status).toBe(403);
    });

    it.each([
      ["bucket", "storage-bucket-missing"],
      ["key", "storage-credentials"],
      ["secret", "storage-credentials"],
      ["port", "storage-unreachable"],
    ] as const)("with a wrong %s fails with %s and lists nothing", async (wrong, code) => {
      const other = given.open(wrong);
      const failure = expect.objectContaining({ code }) as unknown;
      const told = await other.readVersioning({ timeoutMs }).then(
        ({ status }) => status,
        (error: unknown) => (error as AppError).code,
      );
      // A denial may also be of this question alone.
      expect(["unknown", code]).toContain(told);
      await expect(other.removeIf({ key: "k", etag: '"e"', timeoutMs })).rejects.toEqual(failure);
      // A listing asks again while nobody answers.
      const listing = wrong === "port" ? "storage-unclear" : code;
      const short = { pageTimeoutMs: 300, deadlineMs: 10_000, prefix: "" };
      const pages: unknown[] = [];
      const read = async (): Promise<void> => {
        for await (const page of other.listVersions(short)) pages.push(page);
      };
      await expect(read()).rejects.toMatchObject({ code: listing });
      await expect(other.listUploads(short)).rejects.toMatchObject({ code: expect.any(String) as string });
      expect(pages).toEqual([]);
      other.close();
    });
  });
}
