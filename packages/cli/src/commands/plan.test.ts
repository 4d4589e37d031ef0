import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Operation, Plan } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ApiServer, adminToken, startApiServer } from "../fixtures/api-server.ts";
import { finding, finePlan, planHash } from "../fixtures/plans.ts";
import { recordCommitted } from "../fixtures/recorded-operations.ts";
import { runProgram } from "../fixtures/run-program.ts";

const main = join(import.meta.dirname, "..", "main.ts");
const first = recordCommitted(Date.parse("2026-01-02T03:04:05.000Z"))[0] as Operation;
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

const baton = (args: readonly string[], input = "") =>
  runProgram(main, args, { env: { BATON_STATE_DIRECTORY: state }, input }).ended;

describe("baton plan", () => {
  const move = ["migrate", "ledger", "--to", "harbor-b"];
  const shown = (plan: Plan) => server.answers.set("POST /v1/plans", plan);

  it("shows the plan and begins nothing, also as a dry run", async () => {
    shown(finePlan);
    const planned = await baton(["plan", ...move, "--strategy", "halt", "--cold"]);
    expect(planned).toMatchObject({ status: 0, stderr: "" });
    expect(planned.stdout).toContain(`--plan ${planHash}\n`);
    expect(await baton([...move, "--strategy", "halt", "--cold", "--dry-run"])).toEqual(planned);
    expect(server.requests).toEqual(["POST /v1/plans", "POST /v1/plans"]);
    const asked = { kind: "migrate", application: "ledger", to: "harbor-b", strategy: "halt", cold: true };
    expect(server.bodies).toEqual([asked, asked]);
  });

  it("exits with 1 where something blocks it, with one line on stderr, or with the record", async () => {
    const blocked = { ...finePlan, findings: [finding("blocking", "lease-missing"), finding("info", "x")] };
    shown(blocked);
    const planned = await baton(["plan", ...move]);
    expect(planned.status).toBe(1);
    expect(planned.stdout).toContain("✖ lease-missing: ");
    expect(planned.stderr).toBe("baton: cannot migrate ledger: 1 check blocks it; nothing was begun\n");
    const { status, stdout, stderr } = await baton(["plan", ...move, "--output", "json"]);
    expect({ status, stderr, plan: JSON.parse(stdout) as unknown }).toEqual({
      status: 1,
      stderr: "",
      plan: blocked,
    });
  });

  it.each(["deploy", "stop", "start", "delete"])("plans a %s, which a delete need not mean", async (kind) => {
    shown(finePlan);
    const where = kind === "deploy" ? ["--to", "harbor-b"] : [];
    expect((await baton([kind, "ledger", ...where, "--dry-run"])).status).toBe(0);
    expect((await baton(["plan", kind, "ledger", ...where])).status).toBe(0);
    expect(server.bodies).toMatchObject([{ kind }, { kind }]);
  });

  it("is sent along by its hash", async () => {
    server.publish(first);
    expect((await baton([...move, "--plan", planHash])).status).toBe(0);
    expect(server.requests).toEqual(["POST /v1/operations"]);
    expect(server.bodies).toMatchObject([{ kind: "migrate", plan: planHash }]);
  });
});

describe("baton apply --dry-run", () => {
  const cluster = "kind: cluster\nname: harbor-a\ndriver: process\ndirectory: a\n";

  it("says in a dry run what would change, and changes nothing", async () => {
    const other = cluster.replaceAll("harbor-a", "harbor-b").replace("directory: a", "directory: b");
    const third = cluster.replaceAll("harbor-a", "harbor-c");
    const declared = { kind: "cluster", driver: "process" };
    server.answers.set("GET /v1/clusters", {
      items: [
        { ...declared, name: "harbor-a", directory: join(process.cwd(), "a") },
        { ...declared, name: "harbor-b", directory: "/elsewhere" },
      ],
    });
    const dry = await baton(["apply", "--dry-run", "-f", "-"], [cluster, other, third].join("---\n"));
    expect(dry).toEqual({
      status: 0,
      stdout:
        "cluster harbor-a is declared so already\ncluster harbor-b would be replaced\ncluster harbor-c would be created\n",
      stderr: "",
    });
    expect(new Set(server.requests)).toEqual(new Set(["GET /v1/clusters"]));
  });
});
