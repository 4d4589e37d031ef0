import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import type { AppError } from "@baton/protocol";
import { afterEach, describe, expect, it } from "vitest";
import type { BucketPort, VersionPage } from "./bucket.port.ts";
import { openBucket } from "./s3-bucket.ts";
import { createTestClock } from "./test-clock.ts";

const secretAccessKey = "very-secret-key";
const accessKey = { accessKeyId: "KEY", secretAccessKey };
const timeoutMs = 5_000;
const limit = { pageTimeoutMs: 5_000, deadlineMs: 20_000, prefix: "data/" };
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

type Reply = (response: http.ServerResponse, request: http.IncomingMessage) => void;

/** A store that answers the first request by the first reply, and so on; the last one goes on. */
async function answering(...replies: readonly Reply[]): Promise<{ bucket: BucketPort; seen: string[] }> {
  const seen: string[] = [];
  const server = http.createServer((request, response) => {
    const reply = replies[Math.min(seen.length, replies.length - 1)];
    seen.push(`${request.method} ${request.url}`);
    request.resume();
    reply?.(response, request);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // Its sleeps pass at once, and only they make its time pass.
  const clock = createTestClock();
  const bucket = openBucket({ endpoint, region: "us-east-1", bucket: "harbor", accessKey, clock });
  closers.push(async () => {
    bucket.close();
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  return { bucket, seen };
}

const saying =
  (status: number, body = ""): Reply =>
  (response) =>
    response.writeHead(status, { etag: '"e"' }).end(body);
const failing = (status: number, code: string): Reply =>
  saying(status, `<Error><Code>${code}</Code></Error>`);
const document = (root: string, content: string): Reply =>
  saying(
    200,
    `<?xml version="1.0"?>\n<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${root}>`,
  );
const versions = (content: string): Reply => document("ListVersionsResult", content);
const objects = (content: string): Reply => document("ListBucketResult", content);
const uploads = (content: string): Reply => document("ListMultipartUploadsResult", content);
const end = "<IsTruncated>false</IsTruncated>";
const more = (marker: string): string =>
  `<IsTruncated>true</IsTruncated><NextKeyMarker>${marker}</NextKeyMarker>`;
const version = (key: string, id = "null"): string =>
  `<Version><Key>${key}</Key><VersionId>${id}</VersionId><IsLatest>true</IsLatest><ETag>&quot;e&quot;</ETag><Size>1</Size></Version>`;
const object = (key: string): string =>
  `<Contents><Key>${key}</Key><ETag>"e"</ETag><Size>1</Size></Contents>`;

async function list(bucket: BucketPort, changes: object = {}): Promise<VersionPage[]> {
  const pages: VersionPage[] = [];
  for await (const page of bucket.listVersions({ ...limit, ...changes })) pages.push(page);
  return pages;
}
const keysOf = (pages: readonly VersionPage[]): string[] =>
  pages.flatMap(({ kind, entries }) => entries.map(({ key }) => `${kind} ${key}`));
const failureOf = (call: Promise<unknown>): Promise<AppError> =>
  call.then(
    (value) => {
      throw new Error(`it did not fail, but gave ${inspect(value)}`);
    },
    (error: unknown) => error as AppError,
  );
const upload = { key: "k", uploadId: "u", timeoutMs };
const calls = (bucket: BucketPort): Promise<unknown>[] => [
  list(bucket),
  bucket.listUploads(limit),
  bucket.abortUpload(upload),
  bucket.createMultipart({ key: "k", timeoutMs }),
  bucket.uploadPart({ ...upload, partNumber: 1, body: "1" }),
  bucket.completeMultipart({ ...upload, parts: [] }),
  bucket.removeIf({ key: "k", etag: '"e"', timeoutMs }),
];

describe("an answer", () => {
  it.each([
    [404, "NoSuchBucket", "storage-bucket-missing"],
    [403, "InvalidAccessKeyId", "storage-credentials"],
    [403, "AccessDenied", "storage-credentials"],
    [403, "RequestTimeTooSkewed", "storage-failed"],
    [500, "InternalError", "storage-unclear"],
    [503, "SlowDown", "storage-unclear"],
    [418, "", "storage-failed"],
  ])("%i %s is %s", async (status, code, expected) => {
    const { bucket } = await answering(failing(status, code));
    for (const error of await Promise.all(calls(bucket).map(failureOf))) {
      expect(error).toMatchObject({ name: "AppError", code: expected });
      expect(error.message).toMatch(/^cannot (list|abort|begin|upload|complete|remove) .*; /);
      expect(inspect(error, { depth: 9 })).not.toContain(secretAccessKey);
    }
  });

  it.each([
    ["another page", "<html><body>Welcome</body></html>"],
    ["nothing", ""],
    ["no XML", "{}"],
    ["an error that says 200", "<Error><Code>Odd</Code></Error>"],
  ])("that is %s is a failure, and never an empty list", async (_, body) => {
    const { bucket } = await answering(saying(200, body));
    const asked = [
      list(bucket),
      bucket.listUploads(limit),
      bucket.createMultipart({ key: "k", timeoutMs }),
      bucket.completeMultipart({ ...upload, parts: [] }),
    ];
    for (const { code } of await Promise.all(asked.map(failureOf)))
      expect(code).toMatch(/^storage-(failed|unclear)$/);
  });

  it("that ends before its document does is a failure", async () => {
    const whole = `<ListVersionsResult>${end}${version("a")}</ListVersionsResult>`;
    for (let length = 1; length < whole.length; length += 7) {
      const { bucket } = await answering(saying(200, whole.slice(0, length)));
      expect(await failureOf(list(bucket))).toMatchObject({ code: "storage-failed" });
    }
    const { bucket } = await answering(saying(200, whole));
    expect(keysOf(await list(bucket))).toEqual(["versions a"]);
  });
});

describe("versions", () => {
  it.each([
    ["501", failing(501, "NotImplemented")],
    ["405", failing(405, "MethodNotAllowed")],
    ["with the objects", objects(end + object("overlooked"))],
  ])("that a store answers %s are listed as objects", async (_, reply) => {
    const { bucket, seen } = await answering(
      reply,
      objects(
        `<IsTruncated>true</IsTruncated><NextContinuationToken>t=1</NextContinuationToken>${object("a")}`,
      ),
      objects(end + object("b")),
    );
    expect(keysOf(await list(bucket))).toEqual(["objects a", "objects b"]);
    expect(seen).toHaveLength(3);
    expect(seen[2]).toContain("continuation-token=t%3D1");
  });

  it("are not given up for objects in the middle", async () => {
    const { bucket } = await answering(versions(more("a") + version("a")), failing(501, "NotImplemented"));
    expect((await failureOf(list(bucket))).code).toBe("storage-failed");
  });

  it("and delete markers come together, in the order of the store", async () => {
    const marker = (key: string, isLatest: boolean): string =>
      `<DeleteMarker><Key>${key}</Key><VersionId>m</VersionId><IsLatest>${isLatest}</IsLatest></DeleteMarker>`;
    const { bucket } = await answering(
      versions(
        end + marker("a", true) + version("b", "1") + marker("b", false) + version("d") + version("c"),
      ),
    );
    const shown = (await list(bucket)).flatMap(({ entries }) =>
      entries.map(({ key, versionId, deleteMarker }) => [key, versionId, deleteMarker]),
    );
    expect(shown).toEqual([
      ["a", "m", true],
      ["b", "1", false],
      ["b", "m", true],
      ["d", null, false],
      ["c", null, false],
    ]);
  });

  it("go on at the last key where a store encodes keys but not the marker", async () => {
    const url = "<EncodingType>url</EncodingType>";
    const { bucket, seen } = await answering(
      versions(url + more("a%2Fb") + version("a%252Fb")),
      versions(url + more("c%2Fd") + version("c%2Fd")),
      versions(url + end + version("e+f%2Bg")),
    );
    expect(keysOf(await list(bucket))).toEqual(["versions a%2Fb", "versions c/d", "versions e f+g"]);
    expect(seen[1]).toContain("key-marker=a%252Fb");
    expect(seen[2]).toContain("key-marker=c%2Fd");
  });

  it.each([
    ["that is cut without a way on", `<IsTruncated>true</IsTruncated>${version("a")}`],
    ["that does not say whether it is cut", version("a")],
    ["with an entry without a key", end + version("")],
    ["with an entry without a size", end + version("a").replace(/<Size>.*<\/Size>/, "")],
    ["with an entry without an ETag", end + version("a").replace(/<ETag>.*<\/ETag>/, "")],
    ["with a key that is no UTF-8", `${end}<EncodingType>url</EncodingType>${version("%FF")}`],
  ])("on a page %s are a failure", async (_, content) => {
    const { bucket } = await answering(versions(content));
    expect((await failureOf(list(bucket))).code).toBe("storage-failed");
  });

  it.each([1, 2, 3, 7])("on pages that go in a circle of %i are a failure", async (length) => {
    let page = 0;
    const { bucket, seen } = await answering((response, request) =>
      versions(more(`m${(page += 1) % length}`))(response, request),
    );
    expect((await failureOf(list(bucket))).message).toContain("go in a circle");
    expect(seen.length).toBeLessThan(40);
  });

  it("on a page without entries go on", async () => {
    const { bucket } = await answering(versions(more("a")), versions(end + version("b")));
    expect(keysOf(await list(bucket))).toEqual(["versions b"]);
  });
});

describe("a page", () => {
  it("is asked for again while the store is unclear", async () => {
    const { bucket, seen } = await answering(
      versions(more("a") + version("a")),
      failing(503, "SlowDown"),
      (response) => response.destroy(),
      versions(end + version("b")),
    );
    expect(keysOf(await list(bucket))).toEqual(["versions a", "versions b"]);
    expect(seen).toHaveLength(4);
    expect(new Set(seen.slice(1)).size).toBe(1);
  });

  it("that does not come in its time ends the listing", async () => {
    const { bucket } = await answering(versions(more("a") + version("a")), (response) => {
      response.writeHead(200);
      response.write("<ListVersionsResult>");
    });
    expect(await failureOf(list(bucket, { pageTimeoutMs: 50 }))).toMatchObject({ code: "storage-unclear" });
  });

  it("after the deadline of the whole is not asked for", async () => {
    let page = 0;
    const { bucket } = await answering((response, request) => {
      // Every other answer costs a pause of the clock.
      const reply = (page += 1) % 2 === 0 ? versions(more(`m${page}`)) : failing(503, "SlowDown");
      reply(response, request);
    });
    expect(await failureOf(list(bucket, { deadlineMs: 300 }))).toMatchObject({ code: "deadline-exceeded" });
  });

  it("under way is given up when the listing is aborted", async () => {
    const controller = new AbortController();
    const { bucket, seen } = await answering(versions(more("a")), () =>
      controller.abort(new Error("enough")),
    );
    expect((await failureOf(list(bucket, { signal: controller.signal }))).message).toBe("enough");
    expect(seen).toHaveLength(2);
  });
});

describe("uploads", () => {
  const one = (key: string): string => `<Upload><Key>${key}</Key><UploadId>u</UploadId></Upload>`;

  it("are listed again as they are where the store does not say that it encodes", async () => {
    const { bucket, seen } = await answering(uploads(end + one("a%2Bb")), uploads(end + one("a+b")));
    expect(await bucket.listUploads(limit)).toEqual([{ key: "a+b", uploadId: "u" }]);
    expect(seen.map((each) => each.includes("encoding-type"))).toEqual([true, false]);
  });

  it("that are not there count as aborted, other absence does not", async () => {
    const { bucket } = await answering(failing(404, "NoSuchUpload"), failing(404, "NoSuchKey"));
    await bucket.abortUpload(upload);
    expect((await failureOf(bucket.abortUpload(upload))).code).toBe("storage-failed");
  });

  it.each([
    ["412", failing(412, "PreconditionFailed"), "absent"],
    ["409", failing(409, "ConditionalRequestConflict"), "absent"],
    ["404", failing(404, "NoSuchKey"), "match"],
    ["an error in a 200", failing(200, "PreconditionFailed"), "absent"],
  ] as const)("are not completed when the answer is %s", async (_, reply, kind) => {
    const { bucket } = await answering(reply);
    const condition = kind === "absent" ? ({ kind } as const) : ({ kind, etag: '"e"' } as const);
    expect(await bucket.completeMultipart({ ...upload, parts: [], condition })).toBe("refused");
    expect((await failureOf(bucket.completeMultipart({ ...upload, parts: [] }))).code).toMatch(/^storage-/);
  });
});

describe("versioning", () => {
  const versioning = (content: string): Reply => document("VersioningConfiguration", content);
  it.each([
    ["enabled", versioning("<Status>Enabled</Status>")],
    ["suspended", versioning("<Status>Suspended</Status>")],
    ["never", versioning("")],
    ["never", saying(200, '<VersioningConfiguration xmlns="x"/>')],
    ["unknown", versioning("<Status>Perhaps</Status>")],
    ["unknown", failing(501, "NotImplemented")],
    ["unknown", failing(403, "AccessDenied")],
    ["unknown", objects(end)],
  ] as const)("is %s", async (status, reply) => {
    const { bucket } = await answering(reply);
    const told = await bucket.readVersioning({ timeoutMs });
    expect(told.status).toBe(status);
    expect(told.why).not.toBe("");
  });

  it.each([
    ["storage-credentials", failing(403, "InvalidAccessKeyId")],
    ["storage-unclear", failing(500, "InternalError")],
    ["storage-failed", saying(200, "<html></html>")],
  ])("is %s where there is no answer", async (code, reply) => {
    const { bucket } = await answering(reply);
    expect(await failureOf(bucket.readVersioning({ timeoutMs }))).toMatchObject({ code });
  });
});

describe("a request", () => {
  it("is sent once, with its condition", async () => {
    const headers: http.IncomingHttpHeaders[] = [];
    const { bucket } = await answering((response, request) => {
      headers.push(request.headers);
      response.writeHead(204).end();
    });
    expect(await bucket.removeIf({ key: "a b", etag: '"e"', timeoutMs })).toBe("removed");
    expect(headers).toMatchObject([{ "if-match": '"e"' }]);
    expect(headers[0]?.authorization).toContain("if-match");
  });

  it.each(["../other/k", "a/./k"])("for the key %s is never sent", async (key) => {
    const { bucket, seen } = await answering(saying(204));
    expect(await failureOf(bucket.removeIf({ key, etag: '"e"', timeoutMs }))).toMatchObject({
      code: "invalid-request",
    });
    expect(seen).toEqual([]);
  });

  it("ends with its time, also while the answer comes", async () => {
    const { bucket } = await answering((response) => {
      response.writeHead(200);
      response.write("<V");
    });
    expect(await failureOf(bucket.readVersioning({ timeoutMs: 50 }))).toMatchObject({
      code: "storage-unclear",
      message: expect.stringContaining("no answer within 50 ms") as unknown,
    });
  });
});

describe("a URL to put", () => {
  const at = (changes: object): Promise<URL> => {
    const location = { endpoint: "https://store.example", region: "eu-1", bucket: "harbor", accessKey };
    const bucket = openBucket({ ...location, ...changes });
    closers.push(() => bucket.close());
    return bucket.presignPut({ key: "a b/c", validitySeconds: 90 }).then((url) => new URL(url));
  };

  it("is good for as long as asked, with the session's token", async () => {
    const url = await at({ accessKey: { ...accessKey, sessionToken: "session" } });
    expect(url.origin + url.pathname).toBe("https://store.example/harbor/a%20b/c");
    expect(url.searchParams.get("X-Amz-Expires")).toBe("90");
    expect(url.searchParams.get("X-Amz-Security-Token")).toBe("session");
    expect(url.href).not.toContain(secretAccessKey);
  });

  it("names the bucket in its host where the store wants it there", async () => {
    const url = await at({ addressing: "virtual-host" });
    expect(url.origin + url.pathname).toBe("https://harbor.store.example/a%20b/c");
  });

  it("needs an endpoint", () => {
    expect(() => at({ endpoint: "ftp://store.example" })).toThrow(
      expect.objectContaining({ code: "invalid-configuration" }) as Error,
    );
  });
});
