import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as v from "valibot";
import {
  accessKeySchema,
  applicationManifestSchema,
  clusterManifestSchema,
  databaseLoginSchema,
  databaseManifestSchema,
  manifestSchemas,
  prefixSchema,
  storageLocationSchema,
  storageManifestSchema,
} from "./manifest.ts";
import { hookSchema } from "./hook.ts";
import { parseAs } from "./parse.ts";

const cluster = { kind: "cluster", name: "harbor-a", driver: "process", directory: "/srv/harbor-a" };
const storage = {
  kind: "storage",
  name: "bucket",
  endpoint: "http://127.0.0.1:9000",
  bucket: "data",
  prefix: "ledger/",
  credentials: { control: { file: "/etc/control.json" }, data: { file: "/etc/data.json" } },
};
const database = {
  kind: "database",
  name: "books",
  engine: "postgres",
  url: "postgres://db.example.org:6432/books",
  group: "owners",
  admin: { file: "/etc/admin.json" },
};
const application = {
  kind: "application",
  name: "ledger",
  storage: "bucket",
  workload: { command: ["node", "main.js"] },
  readiness: { path: "/ready" },
};

const storageWith = (change: object) => () => parseAs(storageManifestSchema, { ...storage, ...change }, "it");
const refusing = (words: string) =>
  expect.objectContaining({ code: "invalid-request", message: expect.stringContaining(words) });

describe("a manifest", () => {
  it("is found by its kind", () => {
    for (const manifest of [cluster, storage, database, application]) {
      const schema = manifestSchemas[manifest.kind as keyof typeof manifestSchemas];
      expect(v.parse(schema, manifest)).toMatchObject(manifest);
    }
  });

  it("of a storage has defaults", () => {
    expect(v.parse(storageManifestSchema, storage)).toEqual({
      ...storage,
      region: "us-east-1",
      settleMs: 2_000,
      credentials: { ...storage.credentials, dataByCluster: {} },
    });
  });

  it("of an application has defaults", () => {
    expect(v.parse(applicationManifestSchema, application)).toEqual({
      ...application,
      workload: { command: ["node", "main.js"], environment: {} },
      hook: v.parse(hookSchema, {}),
      readiness: { path: "/ready", timeoutMs: 30_000 },
    });
    expect(
      v.parse(applicationManifestSchema, { ...application, verify: { path: "/canary" } }).verify,
    ).toEqual({
      method: "POST",
      path: "/canary",
      timeoutMs: 10_000,
    });
  });

  it.each([cluster, storage, database, application])(
    "of a $kind refuses another kind, a bad name, an unknown field",
    (good) => {
      const schema = manifestSchemas[good.kind as keyof typeof manifestSchemas];
      expect(v.is(schema, good)).toBe(true);
      for (const change of [
        { kind: "thing" },
        { name: "Ledger" },
        { name: "a.b" },
        { name: "" },
        { more: 1 },
      ])
        expect(v.is(schema, { ...good, ...change })).toBe(false);
    },
  );

  it.each(["", "harbor", "./harbor", "/", "/srv/har\nbor"])(
    "of a cluster refuses the directory %j",
    (directory) => {
      expect(v.is(clusterManifestSchema, { ...cluster, directory })).toBe(false);
    },
  );
});

describe("a database", () => {
  const withUrl = (url: unknown) => () => parseAs(databaseManifestSchema, { ...database, url }, "it");

  it.each([
    "postgres://127.0.0.1/books",
    "postgresql://db:5432/Books_2.old-$",
    "postgres://[::1]:5432/books",
  ])("may be at %s", (url) => {
    expect(withUrl(url)()).toMatchObject({ url });
  });

  it.each([
    "",
    "books",
    "mysql://db/books",
    "postgres://db",
    "postgres://db/",
    "postgres://db/books/more",
    "postgres://db/a%2Fb",
    "postgres:///books",
    "postgres://db:99999/books",
    "postgres://db:/books",
    "postgres://db/books ",
    `postgres://db/${"a".repeat(64)}`,
    "postgres://db-a,db-b/books",
    "postgres://user:hunter2@db/books",
    "postgres://hunter2@db/books",
    "postgres://db/books?password=hunter2",
    "postgres://db/books#hunter2",
    7,
  ])("is refused at %j, and nothing of it is told", (url) => {
    expect(withUrl(url)).toThrow(refusing('"url": '));
    try {
      withUrl(url)();
    } catch (error) {
      expect(String(error)).not.toContain("hunter2");
    }
  });

  it.each<[string, object]>([
    ["an engine that has no fence", { engine: "mysql" }],
    ["no group", { group: undefined }],
    ["a group that is no name", { group: 'owners"; drop' }],
    ["a password in place of its file", { admin: "hunter2" }],
    ["certificates that are none", { ca: "/etc/ssl/ca.pem" }],
  ])("is refused with %s", (_, change) => {
    expect(v.is(databaseManifestSchema, { ...database, ...change })).toBe(false);
  });

  it("is named by an application beside its storage, which may be there for the lease alone", () => {
    for (const use of [{}, { storageUse: "data" }, { storageUse: "lease" }])
      expect(v.parse(applicationManifestSchema, { ...application, database: "books", ...use })).toMatchObject(
        { storage: "bucket", database: "books", ...use },
      );
    expect(v.is(applicationManifestSchema, { ...application, storageUse: "none" })).toBe(false);
  });

  it("has an administrator of two texts, which no error repeats", () => {
    const login = { user: "admin", password: "hunter2" };
    expect(v.parse(databaseLoginSchema, login)).toEqual(login);
    for (const wrong of [{ ...login, user: "" }, { ...login, hunter2: 1 }, { password: "hunter2" }])
      expect(() => parseAs(databaseLoginSchema, wrong, "it")).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('hunter2"]') }),
      );
  });
});

describe("an endpoint", () => {
  it.each([
    "http://127.0.0.1:9000",
    "https://s3.example.org",
    "http://[::1]:9000/",
    "https://example.org/store",
  ])("may be %s", (endpoint) => {
    expect(storageWith({ endpoint })()).toMatchObject({ endpoint });
  });

  it.each(["", "127.0.0.1:9000", "example.org", "ftp://example.org", "file:///etc/passwd", "http://", 7])(
    "is refused as %j",
    (endpoint) => {
      expect(storageWith({ endpoint })).toThrow(refusing('"endpoint": must be an http or https URL'));
    },
  );

  it.each([
    "http://user:hunter2@example.org",
    "http://user:@example.org",
    "http://hunter2@example.org",
    "http://:hunter2@example.org",
    "https://example.org/?token=hunter2",
    "https://example.org/#hunter2",
    " http://user:hunter2@example.org ",
    "http:\\\\user:hunter2@example.org",
    "http:user:hunter2@example.org",
    "ftp://user:hunter2@example.org",
    "user:hunter2@example.org",
  ])("with more than a place is refused, and what it carries is not told: %s", (endpoint) => {
    expect(storageWith({ endpoint })).toThrow(refusing('"endpoint": must'));
    try {
      storageWith({ endpoint })();
    } catch (error) {
      expect(String(error)).not.toMatch(/hunter2|user:/);
    }
  });

  it("says where keys belong", () => {
    const endpoint = "http://user:hunter2@example.org";
    expect(storageWith({ endpoint })).toThrow(refusing('the files that "credentials" names'));
  });
});

describe("a prefix", () => {
  it.each([
    "ledger/",
    "a/b/",
    "Team_1/app-2.x/",
    "..a/",
    "a../",
    ".../",
    ".batonx/",
    "x.baton/",
    "a/.baton/",
  ])("may be %s", (prefix) => {
    expect(storageWith({ prefix })()).toMatchObject({ prefix });
  });

  it.each([
    "",
    "/",
    "ledger",
    "/ledger/",
    "a//b/",
    "a b/",
    "ä/",
    "a\\b/",
    "a%2e/",
    "./",
    "../",
    "a/./",
    "a/../",
    "a/../.baton/",
    "./.baton/",
    ".././.baton/",
    ".baton/",
    ".baton/x/",
    "a/\n",
    7,
  ])("is refused as %j", (prefix) => {
    expect(storageWith({ prefix })).toThrow(refusing('"prefix": '));
  });

  it("says what it must be", () => {
    expect(storageWith({ prefix: "../" })).toThrow(
      refusing('not of "." or ".." alone, and not below ".baton/"'),
    );
  });

  it("stays what it is in any URL, and out of the control prefix", () => {
    const segment = fc.constantFrom(".", "..", ".baton", "a", "..a", "a.b", "%2e", "");
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
        const prefix = `${segments.join("/")}/`;
        if (!v.is(prefixSchema, prefix)) return;
        accepted += 1;
        const { pathname } = new URL(`http://host/bucket/${prefix}`);
        expect(pathname).toBe(`/bucket/${prefix}`);
        expect(pathname.startsWith("/bucket/.baton/")).toBe(false);
      }),
      { numRuns: 500 },
    );
    expect(accepted).toBeGreaterThan(50);
  });

  it("is judged in time that grows with its length only", () => {
    const startedAt = performance.now();
    expect(v.is(prefixSchema, `${"a/".repeat(50_000)}!`)).toBe(false);
    expect(v.is(prefixSchema, "a.".repeat(50_000))).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });
});

describe("a storage", () => {
  it.each<[string, object]>([
    ["an empty region", { region: "" }],
    ["a bucket in capitals", { bucket: "Data" }],
    ["a bucket with a path", { bucket: "data/x" }],
    ["a short bucket", { bucket: "ab" }],
    ["a long bucket", { bucket: "a".repeat(64) }],
    ["a secret in place of its file", { credentials: { ...storage.credentials, data: "hunter2" } }],
    ["a relative secret file", { credentials: { ...storage.credentials, data: { file: "data.json" } } }],
    ["no control key", { credentials: { data: storage.credentials.data } }],
    [
      "a bad cluster name",
      { credentials: { ...storage.credentials, dataByCluster: { "A!": { file: "/a" } } } },
    ],
    ["another endpoint that it names already", { otherEndpoints: [`${storage.endpoint}/`] }],
    [
      "another endpoint of a cluster",
      { clusters: { a: { endpoint: "http://b" } }, otherEndpoints: ["http://b"] },
    ],
    ["a replica without an endpoint", { clusters: { a: { replica: "asynchronous" } } }],
    ["a replica of another kind", { clusters: { a: { endpoint: "http://b", replica: "eventual" } } }],
    ["a wait for no replica", { clusters: { a: { endpoint: "http://b", replicaWaitMs: 1 } } }],
    [
      "a replica where the lease is",
      { clusters: { a: { endpoint: `${storage.endpoint}/`, replica: "asynchronous" } } },
    ],
    [
      "a replica that is none for another cluster",
      { clusters: { a: { endpoint: "http://b", replica: "asynchronous" }, b: { endpoint: "http://b/" } } },
    ],
    ["another endpoint twice", { otherEndpoints: ["http://b", "http://b/"] }],
    ["another endpoint that is none", { otherEndpoints: ["b"] }],
    ["certificates that are none", { ca: "/etc/ssl/ca.pem" }],
    ["a fence that nobody provides", { fence: { provider: "swift", admin: { file: "/a" } } }],
    ["a fence without an administrator", { fence: { provider: "ceph" } }],
    [
      "a role that is none",
      { fence: { provider: "aws", endpoint: "https://sts", admin: { file: "/a" }, role: "ledger" } },
    ],
    ["a negative settle time", { settleMs: -1 }],
    ["a settle time of more than ten minutes", { settleMs: 600_001 }],
  ])("is refused with %s", (_, change) => {
    expect(storageWith(change)).toThrow(expect.objectContaining({ code: "invalid-request" }));
  });

  it.each<[string, object]>([
    ["endpoints that share nothing", { otherEndpoints: ["http://b", "http://c"] }],
    [
      "clusters at one endpoint, in other ways",
      {
        clusters: {
          a: { endpoint: storage.endpoint, region: "a" },
          b: { endpoint: `${storage.endpoint}/`, addressing: "virtual-host" },
        },
      },
    ],
    [
      "two clusters at one replica",
      {
        clusters: {
          a: { endpoint: "http://b", replica: "asynchronous", replicaWaitMs: 60_000 },
          b: { endpoint: "http://b", replica: "asynchronous" },
        },
      },
    ],
    ["a fence", { fence: { provider: "minio", admin: { file: "/a" } } }],
    ["certificates", { ca: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" }],
  ])("is taken with %s", (_, change) => {
    expect(storageWith(change)()).toMatchObject(change);
  });

  it("has a location without secrets", () => {
    const { endpoint, bucket, prefix } = storage;
    const location = { endpoint, region: "eu", bucket, prefix };
    expect(v.parse(storageLocationSchema, location)).toEqual(location);
    expect(v.is(storageLocationSchema, { ...location, credentials: {} })).toBe(false);
  });

  it("has keys of two texts, which no error repeats", () => {
    const keys = { accessKeyId: "id", secretAccessKey: "hunter2" };
    expect(v.parse(accessKeySchema, keys)).toEqual(keys);
    for (const wrong of [
      { ...keys, accessKeyId: "" },
      { ...keys, token: "hunter2" },
      { ...keys, secretAccessKey: ["hunter2"] },
      { "secretAccessKey: hunter2": 1 },
      "hunter2",
    ])
      try {
        parseAs(accessKeySchema, wrong, "the secret", "secret-unavailable");
        expect.unreachable();
      } catch (error) {
        expect(error).toMatchObject({ code: "secret-unavailable" });
        expect(String(error)).not.toContain("hunter2");
      }
  });
});
