import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Operation, newPlacementId } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ApiServer, adminToken, startApiServer } from "./fixtures/api-server.ts";
import { operationId, recordCommitted, recordRolledBack } from "./fixtures/recorded-operations.ts";
import { fitStorage, unfitStorage } from "./fixtures/storage-views.ts";
import { type RunningProgram, runProgram } from "./fixtures/run-program.ts";

const main = join(import.meta.dirname, "main.ts");
const start = Date.parse("2026-01-02T03:04:05.000Z");
const committed = recordCommitted(start);
const first = committed[0] as Operation;
const lastCommitted = committed.at(-1) as Operation;
const lastRolledBack = recordRolledBack(start).at(-1) as Operation;
let server: ApiServer;
let state: string;

beforeEach(async () => {
  server = await startApiServer();
  state = await mkdtemp(join(tmpdir(), "baton-cli-"));
  await writeFile(join(state, "url"), `${server.url}\n`);
  await writeFile(join(state, "admin-token"), `${adminToken}\n`);
});
afterEach(async () => {
  await server.goAway();
  await rm(state, { recursive: true });
});

const launch = (args: readonly string[], input?: string, env: Record<string, string> = {}): RunningProgram =>
  runProgram(main, args, {
    env: { BATON_STATE_DIRECTORY: state, ...env },
    ...(input === undefined ? {} : { input }),
  });
const baton = (args: readonly string[], input?: string, env: Record<string, string> = {}) =>
  launch(args, input, env).ended;

describe("baton apply", () => {
  const cluster = "kind: cluster\nname: harbor-a\ndriver: process\ndirectory: a\n";

  it("sends clusters first, with absolute paths, and says what it applied", async () => {
    const file = join(state, "harbors.yaml");
    await writeFile(
      file,
      `kind: application\nname: ledger\nstorage: bucket\nworkload: {command: [x]}\nreadiness: {path: /}\n---\n${cluster}`,
    );
    expect(await baton(["apply", "-f", file])).toEqual({
      status: 0,
      stdout: "cluster harbor-a applied\napplication ledger applied\n",
      stderr: "",
    });
    expect(server.requests).toEqual(["PUT /v1/clusters/harbor-a", "PUT /v1/applications/ledger"]);
    expect(server.bodies[0]).toMatchObject({ directory: join(state, "a") });
  });

  it("reads standard input, and prints what was stored as JSON", async () => {
    const { status, stdout } = await baton(["apply", "-f", "-", "--output", "json"], cluster);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ kind: "cluster", directory: join(process.cwd(), "a") });
  });

  it("sends nothing when one document is wrong", async () => {
    const { status, stdout, stderr } = await baton(
      ["apply", "-f", "-"],
      `${cluster}---\n${cluster}color: red\n`,
    );
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toBe(
      'baton: cannot read standard input, document 2 (cluster "harbor-a"): unknown field "color" (allowed: kind, name, driver, directory)\n',
    );
    expect(server.requests).toEqual([]);
  });

  it("says which file is not there", async () => {
    expect(await baton(["apply", "-f", "/nowhere/x.yaml"])).toMatchObject({
      status: 1,
      stderr: "baton: cannot read /nowhere/x.yaml: there is no such file\n",
    });
  });
});

describe("baton deploy and migrate", () => {
  it("say how to follow the operation", async () => {
    server.publish(first);
    expect(await baton(["deploy", "ledger", "--to", "harbor-a"])).toEqual({
      status: 0,
      stdout: `${operationId} started; follow it with \`baton operation show ${operationId} --watch\`\n`,
      stderr: "",
    });
    expect(server.bodies).toEqual([{ kind: "deploy", application: "ledger", to: "harbor-a" }]);
  });

  it("end with 0 when the watched operation was committed, having shown its steps and its ledger", async () => {
    server.publish(first);
    const program = launch(["migrate", "ledger", "--to", "harbor-b", "--watch"]);
    await expect
      .poll(() => server.requests.some((path) => path.includes("after=1")), { timeout: 10_000 })
      .toBe(true);
    server.publish(lastCommitted);
    const { status, stdout, stderr } = await program.ended;
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain("commit: done after 9 ms (point of no return)\n");
    expect(stdout).toContain("committed after 4.60 s\n");
    expect(stdout).toContain("  ready            03:04:08.948      +212      2436\n");
    expect(stdout).not.toContain("\x1b");
  });

  it("end with 1 and the reason when it was rolled back", async () => {
    server.publish(lastRolledBack);
    const { status, stderr } = await baton(["migrate", "ledger", "--to", "harbor-b", "--watch"]);
    expect(status).toBe(1);
    expect(stderr).toBe(
      `baton: the migrate of ledger to harbor-b was rolled back: ${lastRolledBack.reason}\n`,
    );
  });

  it("print each record as one line of JSON, the last one being the final one", async () => {
    server.publish(first);
    const program = launch(["--output", "json", "migrate", "ledger", "--to", "harbor-b", "--watch"]);
    await expect
      .poll(() => server.requests.some((path) => path.includes("after=1")), { timeout: 10_000 })
      .toBe(true);
    server.publish(lastRolledBack);
    const { status, stdout, stderr } = await program.ended;
    expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as Operation).state)).toEqual(["open", "rolled-back"]);
    expect(JSON.parse(lines.at(-1) ?? "")).toEqual(lastRolledBack);
  });

  it("leave the operation alone when the watch is interrupted", async () => {
    server.publish(first);
    const program = launch(["migrate", "ledger", "--to", "harbor-b", "--watch"]);
    await expect
      .poll(() => server.requests.some((path) => path.includes("after=1")), { timeout: 10_000 })
      .toBe(true);
    program.child.kill("SIGINT");
    const { status, stderr } = await program.ended;
    expect({ status, stderr }).toEqual({
      status: 130,
      stderr: `baton: stopped watching; the operation goes on: \`baton operation show ${operationId} --watch\`\n`,
    });
  });

  it("show the orchestrator's refusal in one line, or as a problem", async () => {
    server.refuseWith = {
      code: "same-cluster",
      detail: "cannot migrate ledger to harbor-b: it is there already",
    };
    expect(await baton(["migrate", "ledger", "--to", "harbor-b"])).toEqual({
      status: 1,
      stdout: "",
      stderr: "baton: cannot migrate ledger to harbor-b: it is there already\n",
    });
    const asJson = await baton(["migrate", "ledger", "--to", "harbor-b", "--output", "json"]);
    expect(asJson.stdout).toBe("");
    expect(JSON.parse(asJson.stderr)).toMatchObject({ code: "same-cluster", status: 409, retry: "never" });
  });
});

describe("baton operation and route", () => {
  it("show a record with its steps, whole lines in a pipe", async () => {
    server.publish(lastRolledBack);
    const { status, stdout } = await baton(["operation", "show", operationId]);
    expect(status).toBe(0);
    expect(stdout).toContain("↶ start          665 ms  taken back\n");
    expect(stdout).toContain(`  ${lastRolledBack.reason}\n  started by night-shift\n`);
  });

  it("list operations and tell the route", async () => {
    server.publish(lastCommitted);
    expect((await baton(["operation", "list", "--application", "ledger"])).stdout).toBe(
      `${operationId}  2026-01-02T03:04:05.000Z  committed    migrate ledger harbor-a → harbor-b\n`,
    );
    expect((await baton(["route", "ledger"])).stdout).toBe(
      "ledger is served at http://127.0.0.1:4711 on harbor-b, epoch 2\n",
    );
    server.route = { ...server.route, url: null, cluster: null };
    expect((await baton(["route", "ledger"])).stdout).toBe("ledger is served nowhere now\n");
  });
});

describe("baton storage", () => {
  const document = `kind: storage
name: harbor
endpoint: http://127.0.0.1:9000
bucket: harbor
prefix: ledger/
credentials: {control: {file: c.json}, data: {file: d.json}}
`;

  it("adds storages, and nothing when one document is of another kind", async () => {
    const cluster = "kind: cluster\nname: harbor-a\ndriver: process\ndirectory: a\n";
    expect(await baton(["storage", "add", "-f", "-"], `${document}---\n${cluster}`)).toEqual({
      status: 1,
      stdout: "",
      stderr:
        'baton: cannot add cluster "harbor-a": only storages are added here; use `baton apply` for the others\n',
    });
    expect(server.requests).toEqual([]);
    expect(await baton(["storage", "add", "-f", "-"], document)).toEqual({
      status: 0,
      stdout: "storage harbor added\n",
      stderr: "",
    });
    expect(server.requests).toEqual(["PUT /v1/storages/harbor"]);
  });

  it("lists them, as text and as JSON", async () => {
    server.answers.set("GET /v1/storages", { items: [fitStorage, unfitStorage] });
    const { stdout } = await baton(["storage", "list"]);
    expect(stdout.split("\n").map((line) => line.slice(0, 13))).toEqual([
      "harbor  fit  ",
      "harbor  unfit",
      "",
    ]);
    const lines = (await baton(["storage", "list", "--output", "json"])).stdout.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([fitStorage, unfitStorage]);
  });

  it("shows one, as text and as JSON", async () => {
    server.answers.set("GET /v1/storages/harbor", fitStorage);
    expect((await baton(["storage", "show", "harbor"])).stdout).toContain(
      "  If-Match      ETags without quotes\n",
    );
    const shown = await baton(["storage", "show", "harbor", "--output", "json"]);
    expect(JSON.parse(shown.stdout)).toEqual(fitStorage);
  });

  it("probes, and ends with 0 for a storage that is fit", async () => {
    server.answers.set("POST /v1/storages/harbor/probe", fitStorage);
    const fit = await baton(["storage", "probe", "harbor", "--thorough"]);
    expect(fit).toMatchObject({ status: 0, stderr: "" });
    expect(server.bodies).toEqual([{ thorough: true, inFlight: false }]);
  });

  it("ends with 1 and the reason for a storage that a probe finds unfit", async () => {
    server.answers.set("POST /v1/storages/harbor/probe", unfitStorage);
    const unfit = await baton(["storage", "probe", "harbor", "--in-flight"]);
    expect(unfit).toMatchObject({ status: 1, stderr: `baton: ${unfitStorage.reason}\n` });
    expect(unfit.stdout).toContain("  ✖ not true: a write with a stale If-Match is refused\n");
    expect(server.bodies.at(-1)).toEqual({ thorough: false, inFlight: true });
  });

  it("proves a rotation, naming the old pair's file and never sending it", async () => {
    server.answers.set("POST /v1/storages/harbor/rotate", {
      storage: "harbor",
      endpoints: ["http://127.0.0.1:9000"],
      keys: [{ role: "control", cluster: null, file: "/c.json", counts: "at-once" }],
      runningOn: [],
      placements: [],
      oldRefused: [{ endpoint: "http://127.0.0.1:9000", denials: 3 }],
    });
    const { status, stdout } = await baton(["storage", "rotate", "harbor", "--old", "old.json"]);
    expect(status).toBe(0);
    expect(stdout).toContain("  old keys      refused at http://127.0.0.1:9000 (3 times in a row)\n");
    expect(server.bodies).toEqual([{ old: { file: join(process.cwd(), "old.json") } }]);
    await baton(["storage", "rotate", "harbor"]);
    expect(server.bodies.at(-1)).toEqual({});
  });

  it("adopts a lease, naming the files of the writer's keys and never sending them", async () => {
    server.answers.set("POST /v1/storages/harbor/adopt", {
      id: "op-00000000000000000001",
      storage: "harbor",
      application: "ledger",
      from: "them/ledger",
      epoch: 4,
      fences: [],
      by: "bootstrap",
      reason: "the old cluster is gone",
      adoptedAt: "2026-01-01T00:00:00.000Z",
    });
    const asked = [
      "storage",
      "adopt",
      "harbor",
      "--application",
      "ledger",
      "--reason",
      "the old cluster is gone",
    ];
    const { status, stdout } = await baton([...asked, "--writer-key", "a.json", "b.json"]);
    expect({ status, next: stdout.includes("next: baton deploy ledger") }).toEqual({ status: 0, next: true });
    expect(stdout).toContain(
      "the lease of storage harbor was them/ledger's and is ledger's now, fenced, in epoch 4",
    );
    const writers = ["a.json", "b.json"].map((file) => ({ file: join(process.cwd(), file) }));
    expect(server.bodies).toEqual([{ application: "ledger", writers, reason: "the old cluster is gone" }]);
    const without = await baton(asked);
    expect(without.status).not.toBe(0);
    expect(server.bodies).toHaveLength(1);
  });

  it("fails where a running application was not handed its new key", async () => {
    const error = { code: "agent-unreachable", detail: "cannot reach the agent: no answer" };
    const at = { application: "ledger", placement: newPlacementId(), cluster: "harbor-a" };
    const rotation = { storage: "harbor", endpoints: [], keys: [], runningOn: ["ledger"], oldRefused: null };
    const placements = [{ ...at, taken: null, error }];
    server.answers.set("POST /v1/storages/harbor/rotate", { ...rotation, placements });
    const { status, stdout, stderr } = await baton(["storage", "rotate", "harbor"]);
    expect(stdout).toContain("NOT handed over: cannot reach the agent: no answer");
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        "baton: cannot hand the new key over to every running application: 1 goes on with the old one\n",
    });
  });

  it("removes one, and shows the orchestrator's refusal", async () => {
    server.answers.set("DELETE /v1/storages/harbor", undefined);
    expect(await baton(["storage", "remove", "harbor"])).toEqual({
      status: 0,
      stdout: "storage harbor removed; its bucket was not touched\n",
      stderr: "",
    });
    server.refuseWith = { code: "in-use", detail: 'cannot remove storage "harbor": ledger names it' };
    expect(await baton(["storage", "remove", "harbor"])).toMatchObject({
      status: 1,
      stderr: 'baton: cannot remove storage "harbor": ledger names it\n',
    });
  });
});

describe("an error", () => {
  it.each([
    ["no command", [], 2, "no command is given; see `baton --help`"],
    ["an unknown command", ["sail"], 2, "unknown command 'sail'"],
    ["a missing option", ["deploy", "ledger"], 2, "required option '--to <cluster>' not specified"],
    ["a token without a role", ["token", "create", "ci"], 2, "required option '--role <role>' not specified"],
    [
      "a wrong format",
      ["route", "x", "--output", "xml"],
      2,
      "option '--output <format>' argument 'xml' is invalid. Allowed choices are text, json.",
    ],
    [
      "an address that is none",
      ["up", "--listen", "7420"],
      1,
      'cannot listen on "7420": it must be HOST:PORT, with a port up to 65535',
    ],
    [
      "a URL that is none",
      ["route", "x", "--url", "harbor"],
      1,
      "cannot use harbor: it is not an http or https URL",
    ],
    [
      "an unknown operation",
      ["operation", "show", "op-1"],
      1,
      "cannot show the operation: there is none of this id",
    ],
  ] as const)("is one line for %s", async (_, args, status, line) => {
    expect(await baton(args)).toEqual({ status, stdout: "", stderr: `baton: ${line}\n` });
  });

  it("tells where no orchestrator answers", async () => {
    await server.goAway();
    expect(await baton(["route", "ledger"])).toMatchObject({
      status: 1,
      stderr: `baton: cannot reach the orchestrator at ${server.url}: the connection was refused; start it with \`baton up\`\n`,
    });
  });

  it("tells which file of a state directory is missing, and how to go on", async () => {
    await rm(join(state, "admin-token"));
    const { stderr } = await baton(["route", "ledger"]);
    expect(stderr).toBe(
      `baton: cannot read the admin token from ${state}/admin-token: there is no such file; start an orchestrator with \`baton up\`, or give --token-file or BATON_TOKEN_FILE\n`,
    );
  });

  it("has a stack only when debugging, and a wrong variable is an error of its own", async () => {
    const { stderr } = await baton(["route", "ledger", "--url", "x"], "", { BATON_LOG_LEVEL: "debug" });
    expect(stderr).toMatch(/^baton: cannot use x.*\nAppError: cannot use x.*\n {4}at /);
    expect(await baton(["route", "ledger"], "", { BATON_LOG_LEVEL: "loud" })).toMatchObject({
      status: 1,
      stderr: 'baton: cannot use BATON_LOG_LEVEL "loud": allowed are silent, error, warn, info, debug\n',
    });
  });
});
