/* What a person may decide about an operation, as the API takes it; what becomes of it is the engine's. */
import { type ErrorCode, type Operation, newOperationId } from "@baton/protocol";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { AuditRecords } from "../records/audit-records.ts";
import { recordDecision } from "../records/decisions.ts";
import { createApp } from "./create-app.ts";

let bed: RecordsBed;
let app: ReturnType<typeof createApp>;
const none = (): Promise<never> => Promise.reject(new Error("not asked for"));

beforeAll(async () => {
  bed = await openRecordsBed();
  app = createApp({
    authenticate: async () => ({ name: "ada", role: "operator" }),
    audit: new AuditRecords(bed.database),
    tokens: { create: none, list: none, revoke: none },
    log: pino({ level: "silent" }),
    apply: none,
    clusters: none,
    databases: none,
    applications: none,
    adopt: none,
    storages: { list: none, show: none, probe: none, rotate: none, inventory: none, remove: none },
    route: none,
    traffic: none,
    plans: { plan: none },
    operations: {
      start: none,
      find: none,
      list: none,
      explain: none,
      receipts: none,
      async decide(id, request, { name }) {
        await recordDecision(bed.database, id, request, name);
        return (await bed.operations.find(id)) as Operation;
      },
    },
    ready: none,
    metrics: none,
    confirm: none,
  });
});
afterAll(() => bed.end());

const begin = async (): Promise<string> => {
  const { application } = await bed.deployed();
  return (await bed.insert({ kind: "migrate", application, to: "harbor-b" })).id;
};
const decide = async (id: string, body: object): Promise<Response> =>
  app.request(`/v1/operations/${id}/decisions`, {
    method: "POST",
    headers: { authorization: "Bearer any" },
    body: JSON.stringify(body),
  });

async function expectRefused(id: string, body: object, code: ErrorCode, words: string): Promise<void> {
  const detail = expect.stringContaining(words) as unknown;
  expect(await (await decide(id, body)).json()).toMatchObject({ code, detail });
}

const reason = "the rack burned";

describe("a decision", () => {
  it("that is an unknown override, or without a reason, or about nothing halted, is refused and leaves no trace", async () => {
    const id = await begin();
    for (const kind of ["overrule", "OVERRIDE", "", null, "fence"])
      await expectRefused(id, { kind, reason }, "invalid-request", '"kind"');
    await expectRefused(id, { kind: "override" }, "invalid-request", '"reason"');
    await expectRefused(id, { kind: "override", reason: "  " }, "invalid-request", "must say why");
    await expectRefused(id, { kind: "override", reason, of: "fence" }, "invalid-request", '"of"');
    await expectRefused(id, { kind: "override", reason }, "not-halted", id);
    const nobodys = newOperationId();
    await expectRefused(nobodys, { kind: "override", reason }, "unknown-operation", nobodys);
    expect(await bed.operations.find(id)).toMatchObject({
      state: "open",
      course: "forward",
      decisions: [],
    });
  });

  it("to abort after the pivot is refused, and the operation goes forward", async () => {
    const id = await begin();
    expect(await bed.operations.commit(id, 2)).toBe(true);
    const past = ["past-pivot", "past its point of no return"] as const;
    await expectRefused(id, { kind: "abort", reason }, ...past);
    await bed.operations.halt(id, 1, "stuck");
    await expectRefused(id, { kind: "abort", reason }, ...past);
    expect(await bed.operations.find(id)).toMatchObject({
      state: "halted",
      course: "past-pivot",
      decisions: [],
    });
    expect((await decide(id, { kind: "resume", reason })).status).toBe(202);
  });
});
