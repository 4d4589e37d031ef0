import { type AuditEntry, type Role, problemSchema, parseAs, roles } from "@baton/protocol";
import { METHOD_NAME_ALL } from "hono/router";
import { sql } from "kysely";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type RecordsBed, clusterManifest, migrations, openRecordsBed } from "../fixtures/records-bed.ts";
import { AuditRecords } from "../records/audit-records.ts";
import { openDatabase } from "../records/database.ts";
import { TokenRecords } from "../records/token-records.ts";
import { access } from "./access.ts";
import { createAuthenticator } from "./authenticate.ts";
import { type AppDeps, createApp } from "./create-app.ts";

const adminToken = "the-generated-admin-token";
let bed: RecordsBed;
let audit: AuditRecords;
let deps: AppDeps;
let app: ReturnType<typeof createApp>;
const tokenOf = {} as Record<Role, string>;
const logged: string[] = [];
let applied: string[];

const notHere = (): Promise<never> => Promise.reject(new Error("not asked for here"));

beforeAll(async () => {
  bed = await openRecordsBed();
  audit = new AuditRecords(bed.database);
  const tokens = new TokenRecords(bed.database);
  for (const role of roles)
    tokenOf[role] = (await tokens.create({ name: `a-${role}`, role }, "bootstrap")).token;
  const { operations, placements } = bed;
  deps = {
    authenticate: createAuthenticator(adminToken, tokens),
    audit,
    tokens,
    log: pino({ level: "trace" }, { write: (line: string) => void logged.push(line) }),
    clusters: async () => [],
    databases: async () => [],
    applications: async () => [],
    storages: {
      list: async () => [],
      show: notHere,
      probe: notHere,
      rotate: notHere,
      inventory: notHere,
      remove: notHere,
    },
    adopt: notHere,
    async apply(manifest) {
      applied.push(manifest.name);
      return manifest;
    },
    route: (application) => placements.route(application),
    traffic: async () => [],
    plans: { plan: notHere },
    operations: {
      list: (application) => operations.list(application),
      find: (id, { after, waitMs }) => operations.waitForChange(id, after, waitMs),
      start: (request, caller) => bed.insert(request, caller.name),
      decide: notHere,
      explain: notHere,
      receipts: notHere,
    },
    ready: async () => true,
    metrics: async () => "",
    confirm: notHere,
  };
});
afterAll(() => bed.end());
beforeEach(() => {
  logged.length = 0;
  applied = [];
  app = createApp(deps);
});

interface Call {
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** "PUT /v1/clusters/quay", with the generated admin token unless another one is given. */
async function call(what: string, { token = adminToken, body, headers = {} }: Call = {}) {
  const [method = "", path = ""] = what.split(" ");
  const answer = await app.request(path, {
    method,
    headers: { ...headers, ...(token === "" ? {} : { authorization: `Bearer ${token}` }) },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text };
}

const codeOf = ({ text }: { readonly text: string }): string | null =>
  text.startsWith('{"type"') ? parseAs(problemSchema, JSON.parse(text), "the problem").code : null;

/** The entries that were added since. */
async function trailSince(last: AuditEntry | undefined): Promise<readonly AuditEntry[]> {
  const all = await audit.list({ limit: 1_000 });
  return all.filter(({ id }) => id > (last?.id ?? 0)).toReversed();
}
const newest = async (): Promise<AuditEntry | undefined> => (await audit.list({ limit: 1 }))[0];

const routes = () =>
  app.routes
    .filter(({ method }) => method !== METHOD_NAME_ALL)
    .map(({ method, path }) => `${method} ${path}`);
const filled = (route: string): string => route.replaceAll(/:\w+/g, "nobody");

describe("the table of roles", () => {
  it("has every route of the API, and no other", () => {
    expect(routes().toSorted()).toEqual(Object.keys(access).toSorted());
  });

  it("lets in who may, and nobody else, at every route", async () => {
    const order = ["", ...roles];
    for (const route of routes())
      for (const [rank, role] of order.entries()) {
        const needed = access[route] ?? "missing";
        const answer = await call(filled(route), { token: role === "" ? "" : tokenOf[role as Role] });
        const isEnough = needed === "anyone" || rank >= order.indexOf(needed);
        const wanted = isEnough ? "let in" : role === "" ? "unauthenticated" : "forbidden";
        const refusal = ["unauthenticated", "forbidden"].find((code) => code === codeOf(answer));
        expect([route, role, refusal ?? "let in"]).toEqual([route, role, wanted]);
      }
  });

  it("denies what it does not have to everybody but admins", async () => {
    app.get("/v1/forgotten", (context) => context.text("done"));
    app.post("/v1/forgotten", (context) => context.text("done"));
    app.get("/constructor", (context) => context.text("done"));
    for (const what of ["GET /v1/forgotten", "POST /v1/forgotten", "GET /constructor"]) {
      expect(codeOf(await call(what, { token: "" }))).toBe("unauthenticated");
      expect(codeOf(await call(what, { token: tokenOf.viewer }))).toBe("forbidden");
      expect(codeOf(await call(what, { token: tokenOf.operator }))).toBe("forbidden");
      expect((await call(what, { token: tokenOf.admin })).text).toBe("done");
    }
  });

  it("is not got around by another method, another case or another spelling of the path", async () => {
    for (const what of [
      "HEAD /v1/tokens",
      "GET /v1/tokens?x",
      "GET /v1/%74okens",
      "GET //v1/tokens",
      "GET /v1/./tokens",
      "GET /v1/clusters/../tokens",
      "GET /V1/TOKENS",
      "GET /v1/tokens/",
      "OPTIONS /v1/tokens",
    ]) {
      const answer = await call(what, { token: tokenOf.operator });
      expect([what, [403, 404].includes(answer.status)]).toEqual([what, true]);
      expect(answer.text).not.toContain("a-viewer");
    }
  });

  it("says which role is needed, and whose token was used", async () => {
    const answer = await call("POST /v1/operations", { token: tokenOf.viewer });
    expect(JSON.parse(answer.text)).toMatchObject({
      status: 403,
      detail:
        'cannot accept the request: it needs the role operator, and token "a-viewer" has the role viewer; use another token',
    });
  });
});

describe("a token by the API", () => {
  it("is told in the answer to its making only, works, and is gone with its revocation", async () => {
    const body = { name: "night-shift", role: "operator", expiresInS: 3_600 };
    const made = await call("POST /v1/tokens", { body });
    expect([made.status, made.headers.get("location"), made.headers.get("cache-control")]).toEqual([
      201,
      "/v1/tokens/night-shift",
      "no-store",
    ]);
    const { token, ...view } = JSON.parse(made.text) as { token: string };
    expect((await call("GET /v1/clusters", { token })).status).toBe(200);
    const listed = await call("GET /v1/tokens");
    expect((JSON.parse(listed.text) as { items: unknown[] }).items).toContainEqual(view);
    expect(listed.text).not.toContain(token);
    expect(codeOf(await call("POST /v1/tokens", { body }))).toBe("in-use");
    expect((await call("DELETE /v1/tokens/night-shift")).status).toBe(204);
    expect(codeOf(await call("GET /v1/clusters", { token }))).toBe("unauthenticated");
    expect(codeOf(await call("DELETE /v1/tokens/night-shift"))).toBe("unknown-token");
  });

  it("that cannot be is refused", async () => {
    const body = { name: "night-shift", role: "operator" };
    for (const change of [{ role: "root" }, { name: "No Name!" }, { expiresInS: 1 }, { token: "mine" }])
      expect(codeOf(await call("POST /v1/tokens", { body: { ...body, ...change } }))).toBe("invalid-request");
    expect(codeOf(await call("POST /v1/tokens", { body: { ...body, name: "bootstrap" } }))).toBe("in-use");
    expect(codeOf(await call("DELETE /v1/tokens/bootstrap"))).toBe("in-use");
  });
});

describe("the audit trail", () => {
  it("has who asked for a change, and what came of it, by the id that the answer has", async () => {
    const last = await newest();
    const application = await bed.declare();
    const put = await call("PUT /v1/clusters/quay", { token: tokenOf.admin, body: clusterManifest("quay") });
    const body = { kind: "deploy", application, to: "harbor-a" };
    const started = await call("POST /v1/operations", { token: tokenOf.operator, body });
    const { id, startedBy } = JSON.parse(started.text) as { id: string; startedBy: string };
    expect(startedBy).toBe("a-operator");
    const again = await call("POST /v1/operations", { body });
    expect(await trailSince(last)).toMatchObject([
      {
        who: "a-admin",
        role: "admin",
        what: "PUT /v1/clusters/:name",
        subject: "quay",
        request: put.headers.get("x-request-id"),
        outcome: { status: 200, code: null, made: null },
      },
      {
        who: "a-operator",
        role: "operator",
        what: "POST /v1/operations",
        subject: application,
        request: started.headers.get("x-request-id"),
        outcome: { status: 202, code: null, made: id },
      },
      {
        who: "bootstrap",
        role: "admin",
        subject: application,
        request: again.headers.get("x-request-id"),
        outcome: { status: 409, code: "operation-open", made: null },
      },
    ]);
  });

  it("has what somebody tried who may not, and it was not done", async () => {
    const last = await newest();
    const body = clusterManifest("quay");
    expect(codeOf(await call("PUT /v1/clusters/quay", { token: tokenOf.operator, body }))).toBe("forbidden");
    expect(applied).toEqual([]);
    expect(await trailSince(last)).toMatchObject([
      {
        who: "a-operator",
        what: "PUT /v1/clusters/:name",
        subject: "quay",
        outcome: { status: 403, code: "forbidden", made: null },
      },
    ]);
  });

  it("has nothing of who only looked, of who is not known, and of what is nowhere", async () => {
    const last = await newest();
    await call("GET /v1/clusters");
    await call("GET /v1/audit");
    await call("POST /v1/operations", { token: "" });
    await call("PUT /v1/clusters/quay", { token: "wrong" });
    await call("DELETE /v1/clusters/quay");
    expect(await trailSince(last)).toEqual([]);
  });

  it("keeps its own ids, whatever ids come with the request", async () => {
    const { headers } = await call("DELETE /v1/tokens/nobody", { headers: { "x-request-id": "mine" } });
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f]{32}$/);
    expect((await newest())?.request).toBe(headers.get("x-request-id"));
  });

  it("never has a token, nor what was pasted where a name belongs, and neither has the log", async () => {
    const last = await newest();
    const made = await call("POST /v1/tokens", { body: { name: "spare", role: "viewer" } });
    const { token } = JSON.parse(made.text) as { token: string };
    await call(`DELETE /v1/tokens/${token}`);
    await call("POST /v1/tokens", { body: { name: token, role: token } });
    await call("POST /v1/operations", { body: `{"application": "${token}` });
    await call("POST /v1/operations", { body: [token] });
    await call("POST /v1/operations", { token });
    await call("POST /v1/operations", { token: `${token}x` });
    await call("DELETE /v1/tokens/spare");
    const trail = await trailSince(last);
    expect(trail.map(({ subject }) => subject)).toEqual(["spare", null, null, null, null, null, "spare"]);
    for (const secret of [token, adminToken])
      expect(JSON.stringify(trail) + logged.join("")).not.toContain(secret);
  });

  it("is shown to admins, page by page", async () => {
    for (const name of ["one", "two", "three"]) await call(`DELETE /v1/tokens/${name}`);
    const items = async (query: string) =>
      (JSON.parse((await call(`GET /v1/audit${query}`)).text) as { items: AuditEntry[] }).items;
    const [third, second] = await items("?limit=2");
    expect([third?.subject, second?.subject]).toEqual(["three", "two"]);
    expect((await items(`?limit=1&before=${second?.id}`))[0]?.subject).toBe("one");
    for (const query of ["limit=0", "limit=1001", "limit=-1", "limit=1e2", "before=x", "before=-1", "page=2"])
      expect([query, codeOf(await call(`GET /v1/audit?${query}`))]).toEqual([query, "invalid-request"]);
  });
});

describe("while the database is away", () => {
  it("nobody is let in, and nothing is done", async () => {
    const gone = await openDatabase(bed.url, migrations);
    // Only what was open can be closed.
    await sql`select`.execute(gone);
    await gone.destroy();
    const tokens = new TokenRecords(gone);
    app = createApp({
      ...deps,
      authenticate: createAuthenticator(adminToken, tokens),
      audit: new AuditRecords(gone),
      tokens,
    });
    for (const token of [tokenOf.admin, adminToken]) {
      const answer = await call("PUT /v1/clusters/quay", { token, body: clusterManifest("quay") });
      expect([answer.status, codeOf(answer)]).toEqual([503, "database-unavailable"]);
    }
    expect(codeOf(await call("GET /v1/clusters", { token: tokenOf.viewer }))).toBe("database-unavailable");
    expect(codeOf(await call("GET /v1/clusters", { token: "wrong" }))).toBe("unauthenticated");
    expect(applied).toEqual([]);
  });

  it("what was done before it went is answered as it was done, and its entry has no outcome", async () => {
    const gone = await openDatabase(bed.url, migrations);
    onTestFinished(() => gone.destroy());
    const broken = new AuditRecords(gone);
    app = createApp({
      ...deps,
      audit: broken,
      async apply(manifest) {
        await gone.destroy();
        return deps.apply(manifest);
      },
    });
    const answer = await call("PUT /v1/clusters/quay", { body: clusterManifest("quay") });
    expect([answer.status, applied]).toEqual([200, ["quay"]]);
    const request = answer.headers.get("x-request-id");
    expect(await newest()).toMatchObject({ request, subject: "quay", outcome: null });
    expect(logged.join("")).toContain("cannot put the outcome of a request on record");
    expect(logged.join("")).toContain(String(request));
  });
});
