import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startDevStore, type DevStore } from "./dev-store.ts";
import { send, sign, temporaryDirectory, testKeys, type SignedCall } from "./test-store.ts";

let store: DevStore;
let remove: () => Promise<void>;

beforeAll(async () => {
  const temporary = await temporaryDirectory();
  remove = temporary.remove;
  store = await startDevStore({ directory: temporary.directory, keys: testKeys });
});
afterAll(async () => {
  await store.close();
  await remove();
});

async function refused(path: string, call: Partial<SignedCall> = {}): Promise<string> {
  const before = store.log().length;
  const { status, code } = await send({ method: "PUT", body: "x", url: store.endpoint + path, ...call });
  expect(store.log()).toHaveLength(before);
  return `${status} ${code}`;
}

function basicIso(at: number): string {
  return new Date(at).toISOString().replace(/[-:]|\.\d+/g, "");
}

describe("an S3 request", () => {
  it("is refused with an XML error and a request id", async () => {
    const answer = await send({ method: "GET", url: `${store.endpoint}/harbor/missing` });
    expect(answer.status).toBe(404);
    expect(answer.headers.get("content-type")).toBe("application/xml");
    const id = answer.headers.get("x-amz-request-id");
    expect(id).toMatch(/^[0-9A-F]{16}$/);
    expect(answer.text).toContain(`<Resource>/harbor/missing</Resource><RequestId>${id}</RequestId></Error>`);
  });

  it("is refused by an unknown key, a wrong secret, a wrong clock", async () => {
    expect(await refused("/harbor/a", { accessKeyId: "NOBODY" })).toBe("403 InvalidAccessKeyId");
    expect(await refused("/harbor/a", { secretAccessKey: "wrong" })).toBe("403 SignatureDoesNotMatch");
    const late = { datetime: basicIso(Date.now() - 16 * 60_000) };
    expect(await refused("/harbor/a", late)).toBe("403 RequestTimeTooSkewed");
    const early = { datetime: basicIso(Date.now() + 16 * 60_000) };
    expect(await refused("/harbor/a", early)).toBe("403 RequestTimeTooSkewed");
    const recent = { datetime: basicIso(Date.now() - 14 * 60_000) };
    expect(
      (await send({ method: "PUT", body: "x", url: `${store.endpoint}/harbor/a`, ...recent })).status,
    ).toBe(200);
  });

  it("is refused unsigned, presigned, or with a garbled authorization", async () => {
    const url = `${store.endpoint}/harbor/a`;
    expect((await fetch(url)).status).toBe(403);
    expect((await fetch(`${url}?X-Amz-Signature=00`)).status).toBe(501);
    expect((await fetch(url, { headers: { authorization: "Bearer x" } })).status).toBe(400);
  });

  it.each([
    ["another key", { path: "/harbor/b" }],
    ["another method", { method: "DELETE" }],
    ["another query", { path: "/harbor/a?x-id=other" }],
    ["a changed condition", { header: ["if-match", '"1"'] }],
  ])(
    "is refused when it was signed for %s",
    async (_, change: { path?: string; method?: string; header?: string[] }) => {
      const signed = await sign({
        method: "PUT",
        url: `${store.endpoint}/harbor/a`,
        headers: { "if-match": '"0"', "x-amz-content-sha256": "UNSIGNED-PAYLOAD" },
      });
      const [name, value] = change.header ?? [];
      if (name !== undefined && value !== undefined) signed.headers.set(name, value);
      const method = change.method ?? "PUT";
      const answer = await fetch(store.endpoint + (change.path ?? "/harbor/a"), {
        method,
        headers: signed.headers,
      });
      expect(await answer.text()).toContain("<Code>SignatureDoesNotMatch</Code>");
    },
  );

  it("is refused when an x-amz header was added after signing", async () => {
    const { method, url, headers } = await sign({ method: "GET", url: `${store.endpoint}/harbor/a` });
    headers.set("x-amz-checksum-mode", "ENABLED");
    expect((await fetch(url, { method, headers })).status).toBe(403);
  });

  it("is refused when the body is not the signed one", async () => {
    const headers = { "x-amz-content-sha256": "0".repeat(64) };
    expect(await refused("/harbor/a", { headers })).toBe("400 XAmzContentSHA256Mismatch");
    expect(await refused("/harbor/a", { headers: { "content-md5": "AAAAAAAAAAAAAAAAAAAAAA==" } })).toBe(
      "400 BadDigest",
    );
    expect(await refused("/harbor/a", { headers: { "x-amz-checksum-crc32": "AAAAAA==" } })).toBe(
      "400 BadDigest",
    );
  });

  it("is confined to the prefix of its key", async () => {
    const ledger = { accessKeyId: "LEDGER", secretAccessKey: "secret-ledger" };
    const url = `${store.endpoint}/harbor`;
    expect((await send({ method: "PUT", body: "x", url: `${url}/ledger/a`, ...ledger })).status).toBe(200);
    expect(await refused("/harbor/ledge", ledger)).toBe("403 AccessDenied");
    expect(await refused("/harbor/other/ledger/a", ledger)).toBe("403 AccessDenied");
    expect(await refused("/pier/ledger/a", ledger)).toBe("403 AccessDenied");
    expect((await send({ method: "GET", url: `${url}/other`, ...ledger })).code).toBe("AccessDenied");
    expect((await send({ method: "GET", url: `${url}?list-type=2`, ...ledger })).code).toBe("AccessDenied");
    expect((await send({ method: "GET", url: `${url}?list-type=2&prefix=ledger/`, ...ledger })).status).toBe(
      200,
    );
  });

  it("only reads where its key only reads", async () => {
    const reader = { accessKeyId: "READER", secretAccessKey: "secret-reader" };
    await send({ method: "PUT", body: "x", url: `${store.endpoint}/harbor/shared` });
    expect((await send({ method: "GET", url: `${store.endpoint}/harbor/shared`, ...reader })).text).toBe("x");
    expect(await refused("/harbor/shared", reader)).toBe("403 AccessDenied");
    expect(await refused("/harbor/shared", { method: "DELETE", body: undefined, ...reader })).toBe(
      "403 AccessDenied",
    );
  });

  it.each([
    ["POST", "/harbor/a?uploads", {}],
    ["PUT", "/harbor/a?partNumber=1&uploadId=x", {}],
    ["PUT", "/harbor", {}],
    ["PUT", "/harbor/a", { "x-amz-copy-source": "/harbor/b" }],
    ["PUT", "/harbor/a", { "x-amz-meta-owner": "me" }],
    ["PUT", "/harbor/a", { "if-none-match": '"0"' }],
    ["PUT", "/harbor/a", { "if-none-match": "*", "if-match": '"0"' }],
    ["PUT", "/harbor/a", { "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" }],
    ["PUT", "/harbor/a", { "x-amz-decoded-content-length": "1" }],
  ])("answers NotImplemented to %s %s %o", async (method, path, headers) => {
    expect(await refused(path, { method, headers })).toBe("501 NotImplemented");
  });

  it("answers NotImplemented to reads it does not know", async () => {
    for (const path of ["/", "/harbor", "/harbor?location", "/harbor/a?versionId=1"])
      expect((await send({ method: "GET", url: store.endpoint + path })).code).toBe("NotImplemented");
  });

  it("is refused for a key of more than 1024 bytes, a bad page size and a foreign token", async () => {
    expect(await refused(`/harbor/${"k".repeat(1025)}`)).toBe("400 KeyTooLongError");
    for (const query of ["max-keys=x", "max-keys=-1", "continuation-token=zzz"]) {
      const answer = await send({ method: "GET", url: `${store.endpoint}/harbor?list-type=2&${query}` });
      expect(answer.code).toBe("InvalidArgument");
    }
  });
});
