import dns from "node:dns";
import { once } from "node:events";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { inspect } from "node:util";
import type { AppError } from "@baton/protocol";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ObjectStore } from "./object-store.port.ts";
import { openObjectStore } from "./s3-object-store.ts";

const secretAccessKey = "very-secret-key";
const timeoutMs = 5_000;
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function open(endpoint: string, bucket = "harbor"): ObjectStore {
  const accessKey = { accessKeyId: "KEY", secretAccessKey };
  const store = openObjectStore({ endpoint, region: "us-east-1", bucket, accessKey });
  closers.push(() => store.close());
  return store;
}

async function listen(server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    if (server.listening) await new Promise((done) => server.close(done));
  });
  return (server.address() as AddressInfo).port;
}

/** A store that answers every request like this; `seen` are the requests that came. */
async function answering(
  reply: (response: http.ServerResponse, request: http.IncomingMessage) => void,
): Promise<{ store: ObjectStore; seen: http.IncomingMessage[] }> {
  const seen: http.IncomingMessage[] = [];
  const server = http.createServer((request, response) => {
    seen.push(request);
    request.resume();
    reply(response, request);
  });
  return { store: open(`http://127.0.0.1:${await listen(server)}`), seen };
}

const xml = (code: string): string =>
  `<?xml version="1.0"?>\n<Error><Code>${code}</Code><Key>k</Key></Error>`;
const failing = (status: number, body = "") => answering((response) => response.writeHead(status).end(body));
const failureOf = (call: Promise<unknown>): Promise<AppError> =>
  call.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: unknown) => error as AppError,
  );
const absent = { kind: "absent" } as const;
const match = { kind: "match", etag: '"e"' } as const;

describe("an answer", () => {
  it.each([
    [404, "NoSuchBucket", "storage-bucket-missing", "the bucket does not exist; create it"],
    [403, "InvalidAccessKeyId", "storage-credentials", "does not know the access key"],
    [403, "SignatureDoesNotMatch", "storage-credentials", "the secret does not belong"],
    [403, "AccessDenied", "storage-credentials", "not allowed"],
    [400, "AuthorizationHeaderMalformed", "storage-credentials", "correct the region"],
    [400, "ExpiredToken", "storage-credentials", "has expired"],
    [403, "UserSuspended", "storage-credentials", "is suspended"],
    [403, "SomethingElse", "storage-credentials", "status 403"],
    [403, "RequestTimeTooSkewed", "storage-failed", "clocks"],
    [301, "PermanentRedirect", "storage-failed", "another endpoint"],
    [501, "NotImplemented", "storage-failed", "does not implement"],
    [501, "", "storage-failed", "does not implement"],
    [500, "InternalError", "storage-unclear", "status 500"],
    [503, "SlowDown", "storage-unclear", "status 503"],
    [418, "", "storage-failed", "status 418"],
  ])("%i %s is %s", async (status, code, expected, words) => {
    const { store, seen } = await failing(status, xml(code));
    const calls = [
      store.get({ key: "k", timeoutMs }),
      store.put({ key: "k", body: "1", condition: match, timeoutMs }),
      store.remove({ key: "k", timeoutMs }),
    ];
    for (const error of await Promise.all(calls.map(failureOf))) {
      expect(error).toMatchObject({ name: "AppError", code: expected });
      expect(error.message).toMatch(/^cannot (read|write|remove) "k" in bucket "harbor" at http:\S+: .*; /);
      expect(error.message).toContain(words);
      expect(inspect(error, { depth: 9 })).not.toContain(secretAccessKey);
    }
    expect(seen).toHaveLength(3);
  });

  it("404 is absence only where the store says NoSuchKey", async () => {
    const known = (await failing(404, xml("NoSuchKey"))).store;
    expect(await known.get({ key: "k", timeoutMs })).toBeNull();
    await known.remove({ key: "k", timeoutMs });
    expect(await known.put({ key: "k", body: "1", condition: match, timeoutMs })).toEqual({
      kind: "refused",
    });
    await expect(known.put({ key: "k", body: "1", condition: absent, timeoutMs })).rejects.toMatchObject({
      code: "storage-failed",
    });
    const other = (await failing(404, "<html>Not here</html>")).store;
    const calls = [
      other.get({ key: "k", timeoutMs }),
      other.remove({ key: "k", timeoutMs }),
      other.put({ key: "k", body: "1", condition: match, timeoutMs }),
    ];
    for (const error of await Promise.all(calls.map(failureOf))) expect(error.code).toBe("storage-failed");
  });

  it.each([
    [412, "PreconditionFailed"],
    [409, "ConditionalRequestConflict"],
  ])("%i is a refusal of a conditional write only", async (status, code) => {
    const { store } = await failing(status, xml(code));
    for (const condition of [absent, match])
      expect(await store.put({ key: "k", body: "1", condition, timeoutMs })).toEqual({ kind: "refused" });
    await expect(store.put({ key: "k", body: "1", timeoutMs })).rejects.toMatchObject({
      code: "storage-failed",
    });
  });

  it("200 without an ETag is a failure", async () => {
    const { store } = await failing(200);
    await expect(store.get({ key: "k", timeoutMs })).rejects.toMatchObject({ code: "storage-failed" });
    await expect(store.put({ key: "k", body: "", timeoutMs })).rejects.toMatchObject({
      code: "storage-failed",
    });
  });
});

describe("a request", () => {
  it("is signed with its payload and carries its condition as given", async () => {
    const { store, seen } = await answering((response) => response.writeHead(200, { etag: '"new"' }).end());
    expect(await store.put({ key: "a b/c", body: "1", condition: match, timeoutMs })).toEqual({
      kind: "stored",
      etag: '"new"',
    });
    await store.put({ key: "k", body: "1", condition: absent, timeoutMs });
    expect(seen[0]?.url).toBe("/harbor/a%20b/c");
    expect(seen[0]?.headers).toMatchObject({
      "if-match": '"e"',
      "content-length": "1",
      "x-amz-content-sha256": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
    });
    expect(seen[0]?.headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=KEY\/\d{8}\/us-east-1\/s3\//,
    );
    expect(seen[0]?.headers.authorization).toContain(
      "SignedHeaders=host;if-match;x-amz-content-sha256;x-amz-date",
    );
    expect(seen[1]?.headers["if-none-match"]).toBe("*");
  });

  it("uses the connection of the one before", async () => {
    const { store, seen } = await answering((response) => response.writeHead(204).end());
    for (let n = 0; n < 3; n += 1) await store.remove({ key: "k", timeoutMs });
    expect(new Set(seen.map(({ socket }) => socket)).size).toBe(1);
  });

  it.each(["../other/k", "a/../../k", "./k", "a/."])("for the key %s is never sent", async (key) => {
    const { store, seen } = await failing(200);
    await expect(store.put({ key, body: "1", timeoutMs })).rejects.toMatchObject({ code: "invalid-request" });
    expect(seen).toHaveLength(0);
  });
});

describe("a connection", () => {
  const calls = (store: ObjectStore, ms: number): Promise<unknown>[] => [
    store.get({ key: "k", timeoutMs: ms }),
    store.put({ key: "k", body: "1", timeoutMs: ms }),
    store.remove({ key: "k", timeoutMs: ms }),
  ];
  const codesOf = async (store: ObjectStore, ms = timeoutMs): Promise<string[]> =>
    (await Promise.all(calls(store, ms).map(failureOf))).map(({ code }) => code);
  const all = (code: string): string[] => [code, code, code];

  it("that nobody takes is unreachable", async () => {
    const server = net.createServer();
    const port = await listen(server);
    await new Promise((done) => server.close(done));
    const store = open(`http://127.0.0.1:${port}`);
    expect(await codesOf(store)).toEqual(all("storage-unreachable"));
    expect((await failureOf(store.get({ key: "k", timeoutMs }))).message).toBe(
      `cannot read "k" at http://127.0.0.1:${port}: there is no connection (ECONNREFUSED); check the endpoint and the network`,
    );
  });

  it("to a host that does not exist is unreachable", async () => {
    expect(await codesOf(open("http://store.invalid"))).toEqual(all("storage-unreachable"));
  });

  it("whose TLS handshake stalls is unreachable at the deadline", async () => {
    const port = await listen(net.createServer());
    expect(await codesOf(open(`https://127.0.0.1:${port}`), 100)).toEqual(all("storage-unreachable"));
  });

  it("without an answer is unclear at the deadline", async () => {
    const { store } = await answering(() => undefined);
    expect(await codesOf(store, 100)).toEqual(all("storage-unclear"));
    expect((await failureOf(store.get({ key: "k", timeoutMs: 100 }))).message).toMatch(
      /the answer did not come to its end \(no answer within 100 ms\) and it is not known what the store did/,
    );
  });

  it("whose answer stalls is unclear at the deadline", async () => {
    const { store } = await answering((response) =>
      response.writeHead(200, { etag: '"e"', "content-length": "10" }).write("12345"),
    );
    expect(await codesOf(store, 100)).toEqual(all("storage-unclear"));
  });

  it("that breaks before or within the answer is unclear", async () => {
    const before = await answering((_, request) => request.socket.destroy());
    expect(await codesOf(before.store)).toEqual(all("storage-unclear"));
    const within = await answering((response) => {
      response.writeHead(200, { etag: '"e"', "content-length": "10" });
      response.write("12345", () => response.destroy());
    });
    expect(await codesOf(within.store)).toEqual(all("storage-unclear"));
  });

  it("to something that is no HTTP server is unclear", async () => {
    const port = await listen(net.createServer((socket) => socket.end("SSH-2.0-x\r\n")));
    expect(await codesOf(open(`http://127.0.0.1:${port}`))).toEqual(all("storage-unclear"));
  });
});

describe("an endpoint", () => {
  it.each(["", "harbor:9000", "ftp://store/", "http://store/%zz", "http://user:very-secret-key@store/"])(
    "is refused as %j, and not shown",
    (endpoint) => {
      const accessKey = { accessKeyId: "KEY", secretAccessKey };
      const opening = (): unknown => openObjectStore({ endpoint, region: "r", bucket: "b", accessKey });
      expect(opening).toThrow(expect.objectContaining({ code: "invalid-configuration" }));
      expect(opening).not.toThrow(secretAccessKey);
    },
  );
});

it("calls a 409 that is no refusal of a condition by its name", async () => {
  const { store } = await failing(409, xml("OperationAborted"));
  const failure = await failureOf(store.get({ key: "k", timeoutMs }));
  expect(failure).toMatchObject({ code: "storage-failed" });
  expect(failure.message).toContain("something else is under way");
});

type Found = (error: null, addresses: readonly { address: string; family: number }[]) => void;

describe("how a bucket is reached", () => {
  afterEach(() => vi.restoreAllMocks());
  const seenOf = async (
    params: Partial<Parameters<typeof openObjectStore>[0]>,
    use: (store: ObjectStore) => Promise<unknown>,
    host = "127.0.0.1",
  ): Promise<http.IncomingMessage> => {
    const { seen } = await answeringAt(host, params, use);
    const [first] = seen;
    if (first === undefined) throw new Error("nothing was asked");
    return first;
  };
  const answeringAt = async (
    host: string,
    params: Partial<Parameters<typeof openObjectStore>[0]>,
    use: (store: ObjectStore) => Promise<unknown>,
  ) => {
    const seen: http.IncomingMessage[] = [];
    const server = http.createServer((request, response) => {
      seen.push(request);
      request.resume();
      response.writeHead(200, { etag: '"e"', server: "Store/1" }).end();
    });
    const endpoint = `http://${host}:${await listen(server)}`;
    const accessKey = { accessKeyId: "KEY", secretAccessKey };
    const store = openObjectStore({ endpoint, region: "us-east-1", bucket: "harbor", accessKey, ...params });
    closers.push(() => store.close());
    await use(store);
    return { seen, endpoint };
  };
  const put = (store: ObjectStore) => store.put({ key: "a/b", body: "1", timeoutMs });
  const match = { kind: "match", etag: '"0cc1"' } as const;

  it("is by path, or by the host's name", async () => {
    expect(await seenOf({}, put)).toMatchObject({ url: "/harbor/a/b" });
    // Names below localhost are not known everywhere.
    vi.spyOn(dns, "lookup").mockImplementation(((_name: string, _options: unknown, done: Found) =>
      done(null, [{ address: "127.0.0.1", family: 4 }])) as never);
    const virtual = await seenOf({ addressing: "virtual-host" }, put, "localhost");
    expect(virtual).toMatchObject({
      url: "/a/b",
      headers: { host: expect.stringMatching(/^harbor\.localhost:/) as unknown },
    });
  });

  it.each([
    ["quoted", '"0cc1"'],
    ["bare", "0cc1"],
  ] as const)("sends an ETag %s", async (ifMatch, sent) => {
    const request = await seenOf({ ifMatch }, (store) =>
      store.put({ key: "k", body: "1", condition: match, timeoutMs }),
    );
    expect(request.headers["if-match"]).toBe(sent);
  });

  it("sends the token of a temporary key, and signs it", async () => {
    const { headers } = await seenOf(
      { accessKey: { accessKeyId: "KEY", secretAccessKey, sessionToken: "token" } },
      put,
    );
    expect(headers["x-amz-security-token"]).toBe("token");
    expect(headers.authorization).toContain("x-amz-security-token");
  });

  it("asks for the key before every request, so that a rotated one counts at once", async () => {
    const keys = ["FIRST", "SECOND"].values();
    const { seen } = await answeringAt(
      "127.0.0.1",
      { accessKey: async () => ({ accessKeyId: keys.next().value ?? "", secretAccessKey }) },
      async (store) => {
        await put(store);
        await put(store);
      },
    );
    expect(seen.map(({ headers }) => /Credential=(\w+)/.exec(String(headers.authorization))?.[1])).toEqual([
      "FIRST",
      "SECOND",
    ]);
  });

  it("tells of every answer what the store calls itself", async () => {
    const servers: (string | undefined)[] = [];
    await seenOf({ onAnswer: ({ server }) => void servers.push(server) }, put);
    expect(servers).toEqual(["Store/1"]);
  });

  it("reads no answer that is larger than anything of ours", async () => {
    const { store } = await answering((response) => {
      response.writeHead(200, { etag: '"e"' });
      const more = (): void => {
        while (response.write(Buffer.alloc(1_048_576)));
        response.once("drain", more);
      };
      more();
    });
    const failure = await failureOf(store.get({ key: "k", timeoutMs }));
    expect(failure).toMatchObject({ code: "storage-failed" });
    expect(failure.message).toContain("larger than");
  });
});
