import {
  type ErrorCode,
  adoptionSchema,
  errorTable,
  newOperationId,
  newPlacementId,
  parseAs,
  problemContentType,
  storageViewSchema,
} from "@baton/protocol";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { confirmReceipt } from "../confirm-receipt.ts";
import {
  type RecordsBed,
  applicationManifest,
  clusterManifest,
  createSigner,
  databaseManifest,
  openRecordsBed,
  storageManifest,
} from "../fixtures/records-bed.ts";
import { AuditRecords } from "../records/audit-records.ts";
import { ProbeRecords } from "../records/probe-records.ts";
import { TokenRecords } from "../records/token-records.ts";
import { TrafficRecords } from "../records/traffic-records.ts";
import { StorageProbes } from "../storages/storage-probes.ts";
import { createStorageService } from "../storages/storage-service.ts";
import { createAuthenticator } from "./authenticate.ts";
import { type AppDeps, createApp } from "./create-app.ts";

const adminToken = "the-admin-token";
const logged: string[] = [];
const log = pino({ level: "error" }, { write: (line: string) => void logged.push(line) });
let bed: RecordsBed;
let deps: AppDeps;
let app: ReturnType<typeof createApp>;
let delivered: string[][];
beforeAll(async () => {
  bed = await openRecordsBed();
});
afterAll(() => bed.end());
const unused = () => Promise.reject(new Error("not asked here"));
const unusedOperations = { decide: unused, explain: unused, receipts: unused };
beforeEach(() => {
  delivered = [];
  logged.length = 0;
  const { catalog, operations, placements } = bed;
  const records = new ProbeRecords(bed.database);
  const probes = new StorageProbes({
    records,
    signal: new AbortController().signal,
    measureInFlight: async ({ door }) => ({ endpoint: door.endpoint, ms: 5, ended: "closed" }),
    inFlightLimitMs: 1_000,
  });
  const tokens = new TokenRecords(bed.database);
  deps = {
    authenticate: createAuthenticator(adminToken, tokens),
    audit: new AuditRecords(bed.database),
    tokens,
    log,
    clusters: () => catalog.clusters(),
    databases: () => catalog.databases(),
    applications: () => catalog.applications(),
    storages: createStorageService({ catalog, records, probes, handOver: async () => [] }),
    adopt: async (storage, request, by) => ({
      id: newOperationId(),
      storage,
      application: request.application,
      from: "them/ledger",
      epoch: 2,
      fences: [],
      by,
      reason: request.reason,
      adoptedAt: "2026-01-01T00:00:00.000Z",
    }),
    async apply(manifest) {
      if (manifest.kind === "cluster") await catalog.putCluster(manifest);
      else if (manifest.kind === "storage") await catalog.putStorage(manifest);
      else if (manifest.kind === "database") await catalog.putDatabase(manifest);
      else await catalog.putApplication(manifest);
      return manifest;
    },
    route: (application) => placements.route(application),
    traffic: (application) => new TrafficRecords(bed.database).view(application),
    plans: { plan: unused },
    operations: {
      ...unusedOperations,
      list: (application) => operations.list(application),
      find: (id, { after, waitMs }) => operations.waitForChange(id, after, waitMs),
      start: (request, caller) => bed.insert(request, caller.name),
    },
    ready: unused,
    metrics: unused,
    confirm: (jws) =>
      confirmReceipt({ ...bed, deliver: async (...message) => void delivered.push(message) }, jws),
  };
  app = createApp(deps);
});
interface Call {
  readonly method?: string;
  readonly body?: unknown;
  readonly raw?: string;
  readonly authorization?: string | null;
}

async function call(
  path: string,
  { method = "GET", body, raw, authorization }: Call = {},
): Promise<Response> {
  const headers: Record<string, string> = {};
  if (authorization !== null) headers["authorization"] = authorization ?? `Bearer ${adminToken}`;
  const text = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  return app.request(path, { method, headers, ...(text === undefined ? {} : { body: text }) });
}

async function expectProblem(answer: Promise<Response>, code: ErrorCode, ...parts: readonly string[]) {
  const response = await answer;
  const problem: unknown = await response.json();
  expect(response.headers.get("content-type")).toBe(problemContentType);
  expect(problem).toMatchObject({ code, status: response.status, title: errorTable[code].title });
  expect(response.status).toBe(errorTable[code].status);
  for (const part of parts) expect(problem).toMatchObject({ detail: expect.stringContaining(part) });
  return response;
}

const put = (path: string, body: unknown) => call(path, { method: "PUT", body });
const post = (path: string, body: unknown, more: Call = {}) => call(path, { method: "POST", body, ...more });

describe("the admin token", () => {
  it("is asked for before anything is said, in the same words whatever is wrong with it", async () => {
    const wrong = [
      null,
      "",
      "Bearer",
      "Bearer x",
      `Bearer ${adminToken}x`,
      `Basic ${adminToken}`,
      adminToken,
    ];
    const paths = ["/v1/clusters", "/v1/applications/nobody/route", "/v1/operations/x", "/v1/nothing"];
    const answers = [];
    for (const authorization of wrong)
      for (const path of paths) {
        const response = await expectProblem(call(path, { authorization }), "unauthenticated");
        answers.push(response.headers.get("www-authenticate"));
      }
    expect(new Set(answers)).toEqual(new Set(["Bearer"]));
    const bodies = await Promise.all(
      wrong.map(async (given) => (await call("/v1/clusters", { authorization: given })).text()),
    );
    expect(new Set(bodies).size).toBe(1);
  });

  it("is taken with its scheme in any case (RFC 9110)", async () => {
    expect((await call("/v1/clusters", { authorization: `bearer ${adminToken}` })).status).toBe(200);
  });

  it("is not needed to see that the process lives", async () => {
    expect((await call("/livez", { authorization: null })).status).toBe(200);
  });
});

describe("a manifest", () => {
  it("is applied and shown, with its defaults", async () => {
    const cluster = clusterManifest("quay");
    expect(await (await put("/v1/clusters/quay", cluster)).json()).toEqual(cluster);
    const { prefix, credentials, bucket, endpoint } = storageManifest("silo");
    const given = { kind: "storage", name: "silo", prefix, bucket, endpoint, credentials };
    expect(await (await put("/v1/storages/silo", given)).json()).toMatchObject({ region: "us-east-1" });
    const database = databaseManifest("books");
    expect(await (await put("/v1/databases/books", database)).json()).toEqual(database);
    expect(await (await call("/v1/databases")).json()).toEqual({ items: [database] });
    await put("/v1/applications/ledger", applicationManifest("ledger", "silo"));
    expect(await (await call("/v1/clusters")).json()).toMatchObject({
      items: expect.arrayContaining([cluster]),
    });
    expect(await (await call("/v1/applications")).json()).toMatchObject({
      items: expect.arrayContaining([applicationManifest("ledger", "silo")]),
    });
  });

  it("that is wrong is refused with every wrong field and what is allowed", async () => {
    const manifest = applicationManifest("wrong", "silo");
    await expectProblem(
      put("/v1/applications/wrong", {
        ...manifest,
        replicas: 2,
        hook: { ...manifest.hook, graceMs: "soon", kill: 1 },
      }),
      "invalid-manifest",
      'unknown field "replicas" (allowed: kind, name, storage, storageUse, database, workload, container, kubernetes, hook, stop, readiness, verify, traffic)',
      '"hook.graceMs"',
      '"kill"',
      "(allowed: preset, drain, quiesce, signal",
    );
    await expectProblem(put("/v1/applications/wrong", {}), "invalid-manifest", '"name"', '"storage"');
    await expectProblem(put("/v1/clusters/wrong", manifest), "invalid-manifest", '"driver"');
    await expectProblem(call("/v1/applications/wrong/route"), "unknown-application");
  });

  it("that is of another name than the path is refused", async () => {
    await expectProblem(put("/v1/clusters/quay", clusterManifest("pier")), "invalid-manifest", '"pier"');
  });

  it("that is no JSON, or too large, is refused and not echoed", async () => {
    for (const raw of ["<hunter2>", "", "{", '{"hunter2"']) {
      const answer = await expectProblem(
        call("/v1/clusters/quay", { method: "PUT", raw }),
        "invalid-manifest",
        "cannot read the cluster manifest: the body is not JSON",
      );
      expect(answer.status).toBe(400);
    }
    const large = { ...clusterManifest("quay"), directory: `/${"x".repeat(1_100_000)}` };
    await expectProblem(put("/v1/clusters/quay", large), "request-too-large", "1048576");
    await expectProblem(
      post("/v1/confirmations", { receipt: "x".repeat(40_000) }),
      "invalid-request",
      '"receipt"',
    );
  });
});

describe("a storage", () => {
  it("is listed and shown with who uses it, and as unknown before its first probe", async () => {
    const { application } = await bed.deployed();
    const name = `store-of-${application}`;
    const view = {
      manifest: storageManifest(name),
      fitness: "unknown",
      reason: null,
      probe: null,
      inFlight: null,
      applications: [{ name: application, placements: 1 }],
    };
    const shown: unknown = await (await call(`/v1/storages/${name}`)).json();
    expect(shown).toEqual(view);
    expect(parseAs(storageViewSchema, shown, "the view")).toEqual(view);
    expect(await (await call("/v1/storages")).json()).toMatchObject({
      items: expect.arrayContaining([view]),
    });
  });

  it("is removed once nobody uses it, and not known then", async () => {
    const { application } = await bed.deployed();
    const name = `store-of-${application}`;
    await expectProblem(call(`/v1/storages/${name}`, { method: "DELETE" }), "in-use", application);
    await put("/v1/storages/lone", storageManifest("lone"));
    const removed = await call("/v1/storages/lone", { method: "DELETE" });
    expect({ status: removed.status, text: await removed.text() }).toEqual({ status: 204, text: "" });
    await expectProblem(call("/v1/storages/lone"), "unknown-storage", name);
    await expectProblem(call("/v1/storages/lone", { method: "DELETE" }), "unknown-storage");
    await expectProblem(post("/v1/storages/lone/probe", {}), "unknown-storage");
    await expectProblem(post("/v1/storages/lone/rotate", {}), "unknown-storage");
  });

  it("that cannot be probed says why, and shows it from then on", async () => {
    await put("/v1/storages/mute", storageManifest("mute"));
    await expectProblem(
      post("/v1/storages/mute/probe", { thorough: true }),
      "secret-unavailable",
      "/secrets/control",
    );
    expect(await (await call("/v1/storages/mute")).json()).toMatchObject({
      fitness: "unfit",
      probe: { thorough: true, verdict: null, error: { code: "secret-unavailable" } },
    });
  });
});

describe("an adoption", () => {
  const request = {
    application: "ledger",
    writers: [{ file: "/old.json" }],
    reason: "the old cluster is gone",
  };

  it("is asked for with who holds the keys, and why, and told in whose name it was done", async () => {
    const adopted: unknown = await (await post("/v1/storages/harbor/adopt", request)).json();
    expect(parseAs(adoptionSchema, adopted, "it")).toMatchObject({
      storage: "harbor",
      reason: request.reason,
      by: "bootstrap",
    });
  });

  it("is refused without a reason, without keys, or with a secret in place of its file", async () => {
    for (const [wrong, field] of [
      [{ reason: " " }, "reason"],
      [{ writers: [] }, "writers"],
      [{ writers: [{ accessKeyId: "A", secretAccessKey: "hunter2" }] }, "accessKeyId"],
    ] as const)
      await expectProblem(
        post("/v1/storages/harbor/adopt", { ...request, ...wrong }),
        "invalid-request",
        field,
      );
  });
});

describe("an operation", () => {
  it("is accepted with the place where it can be seen", async () => {
    const application = await bed.declare();
    const answer = await post("/v1/operations", { kind: "deploy", application, to: "harbor-a" });
    const operation = (await answer.json()) as { id: string };
    expect(answer.status).toBe(202);
    expect(answer.headers.get("location")).toBe(`/v1/operations/${operation.id}`);
    expect(await (await call(answer.headers.get("location") ?? "")).json()).toEqual(operation);
    expect(await (await call(`/v1/operations?application=${application}`)).json()).toEqual({
      items: [operation],
    });
    await expectProblem(
      post("/v1/operations", { kind: "deploy", application, to: "harbor-b" }),
      "operation-open",
    );
  });

  it("that cannot be is refused", async () => {
    const { application } = await bed.deployed();
    const request = (more: object) =>
      post("/v1/operations", { kind: "migrate", application, to: "harbor-b", ...more });
    await expectProblem(request({ application: "nobody" }), "unknown-application", application);
    await expectProblem(request({ to: "nowhere" }), "unknown-cluster", "harbor-a, harbor-b");
    await expectProblem(request({ to: "harbor-a" }), "same-cluster");
    await expectProblem(request({ kind: "deploy" }), "already-deployed");
    await expectProblem(request({ kind: "explode" }), "invalid-request", '"kind"');
    await expectProblem(request({ force: true }), "invalid-request", '"force"');
    await expectProblem(request({ to: "No Name!" }), "invalid-request", '"to"', "DNS label");
    expect(await bed.operations.list(application)).toHaveLength(1);
  });

  it("is shown at once, or as soon as it is newer than the one that is known", async () => {
    const application = await bed.declare();
    const { id, version } = await bed.insert({ kind: "deploy", application, to: "harbor-a" });
    const seen = async (query: string) => (await call(`/v1/operations/${id}${query}`)).json();
    expect(await seen("")).toMatchObject({ version });
    expect(await seen(`?after=${version}`)).toMatchObject({ version });
    expect(await seen(`?waitMs=20&after=${version}`)).toMatchObject({ version });
    const waiting = seen(`?waitMs=20000&after=${version}`);
    await bed.operations.setStep(id, "preflight", "running", null);
    expect(await waiting).toMatchObject({ version: version + 1 });
  });

  it("is not waited for in other words", async () => {
    const path = `/v1/operations/${newOperationId()}`;
    for (const query of ["waitMs=soon", "waitMs=-1", "waitMs=1e3", "waitMs=", "after=1.5", "waitMs=99999999"])
      await expectProblem(call(`${path}?${query}`), "invalid-request", `"${query.split("=")[0]}"`);
    const words = 'unknown field "wait" (allowed: waitMs, after)';
    await expectProblem(call(`${path}?wait=1`), "invalid-request", words);
    await expectProblem(call(path), "unknown-operation");
  });
});

describe("a confirmation", () => {
  it("is accepted without the admin token by its signature, and changes nothing without", async () => {
    const { application, target: placement } = await bed.deployed();
    const [signer, stranger] = [await createSigner(), await createSigner()];
    await bed.placements.pinKey(placement, signer.publicKey, "http://127.0.0.1:1");
    const { id: operation } = await bed.insert({ kind: "migrate", application, to: "harbor-b" });
    const about = { application, operation, placement };
    const confirm = async (receipt: unknown) =>
      post("/v1/confirmations", { receipt }, { authorization: null });

    await expectProblem(confirm((await stranger.sign(about)).jws), "receipt-invalid");
    const unknown = await stranger.sign({ ...about, placement: newPlacementId() });
    await expectProblem(confirm(unknown.jws), "unknown-placement");
    await expectProblem(confirm("garbage"), "receipt-invalid");
    await expectProblem(confirm(7), "invalid-request", '"receipt"');
    expect(delivered).toEqual([]);
    expect((await bed.operations.find(operation))?.receipt).toBeNull();

    const { jws, receipt } = await signer.sign(about);
    expect((await confirm(jws)).status).toBe(204);
    expect(delivered).toEqual([[operation, receipt.key, jws]]);
  });
});

describe("a failure", () => {
  it("at a path where nothing is says so and does not echo it", async () => {
    for (const path of ["/", "/v2/hunter2", "/v1/hunter2", "/v1/clusters/%E0%A4%A", "/livez/hunter2"]) {
      const answer = await expectProblem(call(path), "not-found");
      expect(await (await call(path)).text()).not.toContain("hunter2");
      expect(answer.status).toBe(404);
    }
    await expectProblem(call("/v1/clusters", { method: "DELETE" }), "not-found");
  });

  it("inside is logged and not shown", async () => {
    deps = { ...deps, clusters: () => Promise.reject(new Error("password hunter2")) };
    app = createApp(deps);
    const answer = await expectProblem(call("/v1/clusters"), "internal");
    expect(answer.status).toBe(500);
    expect(await (await call("/v1/clusters")).text()).not.toContain("hunter2");
    expect(logged.join("")).toContain("hunter2");
  });
});
