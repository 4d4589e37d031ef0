import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readConfiguration } from "../configuration.ts";
import { type ApiServer, adminToken, startApiServer } from "../fixtures/api-server.ts";
import { operationId } from "../fixtures/recorded-operations.ts";
import { showAudit } from "./audit.ts";
import { showRoute } from "./route.ts";
import type { CommandContext, GlobalOptions } from "./session.ts";
import { createToken, listTokens, revokeToken } from "./token.ts";

const at = "2026-01-02T03:04:05.000Z";
const view = {
  name: "ci",
  role: "operator",
  createdBy: "bootstrap",
  createdAt: at,
  expiresAt: null,
  expired: false,
} as const;
const created = { ...view, token: `baton_${"x".repeat(43)}` };
const text: GlobalOptions = { output: "text" };
const json: GlobalOptions = { output: "json" };
const asOperator = { role: "operator" } as const;

let server: ApiServer;
let state: string;
beforeEach(async () => {
  server = await startApiServer();
  server.answers.set("POST /v1/tokens", created);
  state = await mkdtemp(join(tmpdir(), "baton-access-"));
  await writeFile(join(state, "url"), `${server.url}\n`);
  await writeFile(join(state, "admin-token"), `${adminToken}\n`);
});
afterEach(async () => {
  await server.goAway();
  await rm(state, { recursive: true });
});

/** What a command wrote. */
async function run(command: (context: CommandContext) => Promise<void>, env: Record<string, string> = {}) {
  let stdout = "";
  let stderr = "";
  const notHere = (): never => {
    throw new Error("not needed here");
  };
  await command({
    configure: () =>
      readConfiguration({ BATON_STATE_DIRECTORY: state, ...env }, { uid: 1_000, home: "/nowhere" }),
    stdout: { write: (part: string) => void (stdout += part) },
    stderr: { write: (part: string) => void (stderr += part) },
    readInput: notHere,
    signal: new AbortController().signal,
    startOrchestrator: notHere,
    agentCommand: notHere,
  });
  return { stdout, stderr };
}

describe("baton token create", () => {
  it("shows a new token once, alone on stdout", async () => {
    const options = { ...asOperator, expires: 2_592_000 };
    expect(await run((context) => createToken(context, "ci", { ...text, ...options }))).toEqual({
      stdout: `${created.token}\n`,
      stderr: "this is the token of ci; it cannot be shown again\n",
    });
    expect(server.bodies).toEqual([{ name: "ci", role: "operator", expiresInS: 2_592_000 }]);
    const asJson = await run((context) => createToken(context, "ci", { ...json, ...asOperator }));
    expect([JSON.parse(asJson.stdout), asJson.stderr]).toEqual([created, ""]);
    expect(server.bodies.at(-1)).toEqual({ name: "ci", role: "operator" });
  });

  it("writes it to a file for nobody else to read, and shows it nowhere", async () => {
    const save = join(state, "ci.token");
    expect(await run((context) => createToken(context, "ci", { ...text, ...asOperator, save }))).toEqual({
      stdout: `the token of ci is in ${save}\n`,
      stderr: "",
    });
    expect(await readFile(save, "utf8")).toBe(`${created.token}\n`);
    expect((await stat(save)).mode & 0o777).toBe(0o600);
    const other = { ...json, ...asOperator, save: join(state, "other.token") };
    expect(JSON.parse((await run((context) => createToken(context, "ci", other))).stdout)).toEqual(view);
  });

  it("makes no token for a file that is there, or that cannot be", async () => {
    const save = join(state, "ci.token");
    await writeFile(save, "mine");
    await expect(
      run((context) => createToken(context, "ci", { ...text, ...asOperator, save })),
    ).rejects.toThrow(
      `cannot write the token to ${save}: there is such a file already; choose another file; no token was created`,
    );
    const nowhere = { ...text, ...asOperator, save: "/nowhere/ci.token" };
    await expect(run((context) => createToken(context, "ci", nowhere))).rejects.toThrow("(ENOENT)");
    expect(server.requests).toEqual([]);
    expect(await readFile(save, "utf8")).toBe("mine");
  });

  it("leaves no file for a token that is refused", async () => {
    server.refuseWith = { code: "in-use", detail: 'cannot create token "ci": there is one of this name' };
    const save = join(state, "refused.token");
    await expect(
      run((context) => createToken(context, "ci", { ...text, ...asOperator, save })),
    ).rejects.toMatchObject({ code: "in-use" });
    await expect(stat(save)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("says that a token may be there when its answer got lost", async () => {
    server.cutNextPost = true;
    await expect(run((context) => createToken(context, "ci", { ...text, ...asOperator }))).rejects.toThrow(
      "cannot say whether token ci was created",
    );
  });
});

describe("baton token and audit", () => {
  it("list and revoke tokens, and never show one", async () => {
    server.answers.set("GET /v1/tokens", { items: [view] });
    server.answers.set("DELETE /v1/tokens/ci", undefined);
    expect((await run((context) => listTokens(context, text))).stdout).toBe(
      "ci  operator  made by bootstrap at 2026-01-02 03:04:05 UTC  does not expire\n",
    );
    expect(JSON.parse((await run((context) => listTokens(context, json))).stdout)).toEqual(view);
    expect((await run((context) => revokeToken(context, "ci", text))).stdout).toBe("token ci revoked\n");
    expect(server.requests.at(-1)).toBe("DELETE /v1/tokens/ci");
  });

  it("show the audit trail, and pages of it", async () => {
    const entry = {
      id: 7,
      at,
      request: "r",
      who: "ci",
      role: "operator",
      what: "POST /v1/operations",
      subject: "ledger",
      outcome: { status: 202, code: null, made: operationId },
    };
    server.answers.set("GET /v1/audit", { items: [entry] });
    expect((await run((context) => showAudit(context, text))).stdout).toBe(
      `7  2026-01-02 03:04:05 UTC  ci (operator)  POST /v1/operations ledger  202 ${operationId}\n`,
    );
    const paged = await run((context) => showAudit(context, { ...json, limit: 5, before: 8 }));
    expect(JSON.parse(paged.stdout)).toEqual(entry);
    expect(server.requests).toEqual(["GET /v1/audit", "GET /v1/audit?limit=5&before=8"]);
  });
});

it("a route is shown with who was told of it", async () => {
  const at = "2026-01-02T03:04:05.000Z";
  const place = { epoch: 2, cluster: "harbor-b", url: "http://127.0.0.1:4711" };
  const told = { wanted: { ...place, since: at }, told: { ...place, at }, settled: true, error: null };
  server.traffic = [{ target: "webhook http://hooks/", removed: false, tries: 0, ...told }];
  const { stdout } = await run((context) => showRoute(context, "ledger", text));
  expect(stdout).toBe(
    "ledger is served at http://127.0.0.1:4711 on harbor-b, epoch 2\n" +
      "  webhook http://hooks/: told http://127.0.0.1:4711 on harbor-b (epoch 2), 2026-01-02 03:04:05 UTC\n",
  );
  const asJson = await run((context) => showRoute(context, "ledger", json));
  expect(JSON.parse(asJson.stdout)).toMatchObject({ epoch: 2, traffic: server.traffic });
  server.traffic = [];
});

describe("the token that is used", () => {
  const route = (options: GlobalOptions) => (context: CommandContext) =>
    showRoute(context, "ledger", options);

  it("is the environment's, or that of the file that is named", async () => {
    await rm(join(state, "admin-token"));
    const served = "ledger is served at http://127.0.0.1:4711 on harbor-b, epoch 2\n";
    expect((await run(route(text), { BATON_TOKEN: adminToken })).stdout).toBe(served);
    const tokenFile = join(state, "own.token");
    await writeFile(tokenFile, `${adminToken}\n`);
    expect((await run(route({ ...text, tokenFile }), { BATON_TOKEN: "hunter2" })).stdout).toBe(served);
  });

  it.each([
    ["is wrong", "hunter2", "unauthenticated", "send the admin token"],
    ["cannot stand in a header", "hunter2\nx", "invalid-configuration", "it is not one printable word"],
  ])("is not shown where it %s", async (_, BATON_TOKEN, code, words) => {
    const error = await run(route(text), { BATON_TOKEN }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, message: expect.stringContaining(words) });
    expect(String(error)).not.toContain("hunter2");
  });
});
