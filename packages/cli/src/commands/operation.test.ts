import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Operation } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ApiServer, adminToken, startApiServer } from "../fixtures/api-server.ts";
import { operationId, recordCommitted } from "../fixtures/recorded-operations.ts";
import { runProgram } from "../fixtures/run-program.ts";

const main = join(import.meta.dirname, "..", "main.ts");
const lastCommitted = recordCommitted(Date.parse("2026-01-02T03:04:05.000Z")).at(-1) as Operation;
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

const baton = (args: readonly string[]) =>
  runProgram(main, args, { env: { BATON_STATE_DIRECTORY: state } }).ended;

describe("baton stop, start and delete", () => {
  const of = (kind: "stop" | "start" | "delete"): Operation => {
    const at = kind === "start" ? { from: null, to: "harbor-a" } : { from: "harbor-a", to: null };
    return { ...lastCommitted, kind, ...at };
  };

  it.each(["stop", "start", "delete"] as const)("%s asks for it, and shows its steps", async (kind) => {
    server.publish(of(kind));
    const yes = kind === "delete" ? ["--yes"] : [];
    const { status, stdout, stderr } = await baton([kind, "ledger", ...yes, "--watch"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(server.bodies).toEqual([{ kind, application: "ledger" }]);
    expect(stdout).toContain(`${kind} ledger on harbor-a  ${operationId}\n`);
    expect(stdout).not.toContain("downtime ledger");
  });

  it("says what was taken back, and where", async () => {
    server.publish({ ...of("stop"), state: "rolled-back", reason: "stop failed: it refused" });
    const { status, stderr } = await baton(["stop", "ledger", "--watch"]);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "baton: the stop of ledger on harbor-a was rolled back: stop failed: it refused\n",
    });
  });

  it("deletes nothing unless it is said to be meant", async () => {
    const { status, stderr } = await baton(["delete", "ledger"]);
    expect(status).toBe(1);
    expect(stderr).toContain("cannot delete ledger unasked");
    expect(server.requests).toEqual([]);
  });
});
