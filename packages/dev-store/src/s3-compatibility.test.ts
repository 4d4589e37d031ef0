import { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  PutObjectCommand,
  S3ServiceException,
  type S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startDevStore, type DevStore } from "./dev-store.ts";
import { sdkClient, temporaryDirectory, testKeys } from "./test-store.ts";

const Bucket = "harbor";
let store: DevStore;
let s3: S3Client;
let remove: () => Promise<void>;
let test = 0;
let Key = "";

beforeAll(async () => {
  const temporary = await temporaryDirectory();
  remove = temporary.remove;
  store = await startDevStore({ directory: temporary.directory, keys: testKeys });
  s3 = sdkClient(store.endpoint);
});
afterAll(async () => {
  s3.destroy();
  await store.close();
  await remove();
});
beforeEach(() => {
  Key = `test-${++test}/object`;
});

/** The status and name of the SDK's error; fails when the call succeeds. */
async function refusal(call: Promise<unknown>): Promise<{ status: number | undefined; name: string }> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof S3ServiceException)) throw new Error(`expected a refusal, got ${String(error)}`);
  return { status: error.$metadata.httpStatusCode, name: error.name };
}

async function put(
  Body: string,
  condition: { IfMatch?: string; IfNoneMatch?: string } = {},
): Promise<string> {
  const { ETag } = await s3.send(new PutObjectCommand({ Bucket, Key, Body, ...condition }));
  return ETag ?? "";
}

async function get(): Promise<string | undefined> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
  return Body?.transformToString();
}

describe("the AWS SDK", () => {
  it("gets back what it put, with the quoted MD5 as ETag", async () => {
    expect(await put("hello")).toBe('"5d41402abc4b2a76b9719d911017c592"');
    expect(await get()).toBe("hello");
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
    expect(head).toMatchObject({ ETag: '"5d41402abc4b2a76b9719d911017c592"', ContentLength: 5 });
    expect(Math.abs(Date.now() - (head.LastModified?.getTime() ?? 0))).toBeLessThan(60_000);
  });

  it("gets a part of what it put", async () => {
    await put("0123456789");
    const { Body, ContentRange } = await s3.send(new GetObjectCommand({ Bucket, Key, Range: "bytes=2-4" }));
    expect(await Body?.transformToString()).toBe("234");
    expect(ContentRange).toBe("bytes 2-4/10");
  });

  it("puts an empty object", async () => {
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.alloc(0) }));
    expect(await get()).toBe("");
  });

  it("uses keys with every kind of character", async () => {
    Key = "odd/ä ö+ü&=?#%/../~!'()*;:@,$ \u{1f600}//end";
    await put("odd");
    expect(await get()).toBe("odd");
    const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "odd/ä ö+" }));
    expect(Contents?.map((object) => object.Key)).toEqual([Key]);
  });

  it("uploads a stream as aws-chunked with a trailing checksum", async () => {
    const parts = Array.from({ length: 20 }, (_, at) => Buffer.alloc(10_000, at));
    const ContentLength = 200_000;
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: Readable.from(parts), ContentLength }));
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    expect(Buffer.concat(parts).equals((await Body?.transformToByteArray()) ?? Buffer.alloc(0))).toBe(true);
  });

  it("puts and gets 20 MB", async () => {
    const large = Buffer.alloc(20_000_000, "0123456789abcdef");
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: large }));
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    expect(large.equals((await Body?.transformToByteArray()) ?? Buffer.alloc(0))).toBe(true);
  });

  it("creates an object only once with If-None-Match", async () => {
    await put("first", { IfNoneMatch: "*" });
    expect(await refusal(put("second", { IfNoneMatch: "*" }))).toEqual({
      status: 412,
      name: "PreconditionFailed",
    });
    expect(await get()).toBe("first");
    await s3.send(new DeleteObjectCommand({ Bucket, Key }));
    await put("third", { IfNoneMatch: "*" });
  });

  it("replaces an object only while its ETag matches, quoted or not", async () => {
    const first = await put("first");
    const second = await put("second", { IfMatch: first });
    expect(await refusal(put("stale", { IfMatch: first }))).toEqual({
      status: 412,
      name: "PreconditionFailed",
    });
    await put("third", { IfMatch: second.replaceAll('"', "") });
    expect(await get()).toBe("third");
  });

  it("answers NoSuchKey to If-Match on a missing object", async () => {
    const call = put("x", { IfMatch: '"5d41402abc4b2a76b9719d911017c592"' });
    expect(await refusal(call)).toEqual({ status: 404, name: "NoSuchKey" });
  });

  it("lets exactly one of 16 concurrent creators win", async () => {
    const calls = Array.from({ length: 16 }, (_, at) => put(`writer ${at}`, { IfNoneMatch: "*" }));
    const results = await Promise.allSettled(calls);
    const winners = results.flatMap((result, at) => (result.status === "fulfilled" ? [at] : []));
    expect(winners).toHaveLength(1);
    expect(await get()).toBe(`writer ${winners[0]}`);
    expect(store.log().filter((entry) => entry.key === Key)).toHaveLength(1);
  });

  it("deletes, also what is not there, and under If-Match", async () => {
    const etag = await put("x");
    const remove = (IfMatch?: string) => s3.send(new DeleteObjectCommand({ Bucket, Key, IfMatch }));
    expect((await refusal(remove('"00000000000000000000000000000000"'))).status).toBe(412);
    expect((await remove(etag)).$metadata.httpStatusCode).toBe(204);
    expect((await remove()).$metadata.httpStatusCode).toBe(204);
    expect((await refusal(get())).name).toBe("NoSuchKey");
    expect((await refusal(s3.send(new HeadObjectCommand({ Bucket, Key })))).status).toBe(404);
  });

  it("reads conditionally", async () => {
    const ETag = await put("x");
    const read = (condition: object) => s3.send(new GetObjectCommand({ Bucket, Key, ...condition }));
    expect((await refusal(read({ IfNoneMatch: ETag }))).status).toBe(304);
    expect((await refusal(read({ IfMatch: '"0"' }))).status).toBe(412);
  });

  it("lists in pages, with every key once and in order", async () => {
    const names = Array.from({ length: 25 }, (_, at) => `${Key}/${String(at).padStart(2, "0")}`);
    await Promise.all(
      names.toReversed().map((name) => s3.send(new PutObjectCommand({ Bucket, Key: name, Body: "x" }))),
    );
    const found: (string | undefined)[] = [];
    let pages = 0;
    for await (const page of paginateListObjectsV2(
      { client: s3, pageSize: 10 },
      { Bucket, Prefix: `${Key}/` },
    )) {
      pages += 1;
      found.push(...(page.Contents ?? []).map((object) => object.Key));
    }
    expect({ pages, found }).toEqual({ pages: 3, found: names });
  });

  it("lists folders by delimiter and starts after a key", async () => {
    for (const name of ["a/1", "a/2", "b", "c/1"])
      await s3.send(new PutObjectCommand({ Bucket, Key: `${Key}/${name}`, Body: "x" }));
    const Prefix = `${Key}/`;
    const page = await s3.send(new ListObjectsV2Command({ Bucket, Prefix, Delimiter: "/" }));
    expect(page.CommonPrefixes?.map((item) => item.Prefix)).toEqual([`${Prefix}a/`, `${Prefix}c/`]);
    expect(page.Contents?.map((item) => [item.Key, item.Size, item.ETag])).toEqual([
      [`${Prefix}b`, 1, '"9dd4e461268c8034f5c8564e155c67a6"'],
    ]);
    const later = await s3.send(new ListObjectsV2Command({ Bucket, Prefix, StartAfter: `${Prefix}a/2` }));
    expect(later.Contents?.map((item) => item.Key)).toEqual([`${Prefix}b`, `${Prefix}c/1`]);
  });

  it("finds only the buckets that exist and that its key may use", async () => {
    expect((await s3.send(new HeadBucketCommand({ Bucket }))).$metadata.httpStatusCode).toBe(200);
    expect((await refusal(s3.send(new HeadBucketCommand({ Bucket: "pier" })))).status).toBe(403);
    expect((await refusal(s3.send(new HeadBucketCommand({ Bucket: "nowhere" })))).status).toBe(404);
    const list = s3.send(new ListObjectsV2Command({ Bucket: "nowhere" }));
    expect(await refusal(list)).toEqual({ status: 404, name: "NoSuchBucket" });
  });
});
