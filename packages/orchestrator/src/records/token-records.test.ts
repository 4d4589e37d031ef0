import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type RecordsBed, migrations, openRecordsBed } from "../fixtures/records-bed.ts";
import { openDatabase } from "./database.ts";
import { digestOf } from "./token-digest.ts";
import { TokenRecords } from "./token-records.ts";

let bed: RecordsBed;
let tokens: TokenRecords;
beforeAll(async () => {
  bed = await openRecordsBed();
  tokens = new TokenRecords(bed.database);
});
afterAll(() => bed.end());
beforeEach(() => sql`delete from tokens`.execute(bed.database));

const request = { name: "ci", role: "operator" } as const;
const bootstrap = {
  name: "bootstrap",
  role: "admin",
  createdBy: null,
  createdAt: null,
  expiresAt: null,
  expired: false,
};
/** As if so much time had gone by since. */
const age = (seconds: number) =>
  sql`update tokens set expires_at = expires_at - ${seconds} * interval '1 s'`.execute(bed.database);

describe("a token", () => {
  it("is told once, and known by its digest from then on", async () => {
    const { token, ...view } = await tokens.create(request, "bootstrap");
    expect(view).toMatchObject({ ...request, createdBy: "bootstrap", expiresAt: null, expired: false });
    expect(await tokens.holder(token)).toEqual(request);
    expect(await tokens.list()).toEqual([bootstrap, view]);
    const { rows } = await sql<{
      row: string;
      digest: Buffer;
    }>`select t::text as row, digest from tokens t`.execute(bed.database);
    expect(rows).toMatchObject([{ digest: digestOf(token) }]);
    expect(rows[0]?.row).not.toContain(token);
    expect(rows[0]?.row).not.toContain(Buffer.from(token).toString("hex"));
  });

  it("of another's making is nobody's, however alike", async () => {
    const { token } = await tokens.create(request, "bootstrap");
    const last = token.endsWith("A") ? "B" : "A";
    expect(await tokens.holder(token.slice(0, -1) + last)).toBeNull();
    expect(await tokens.holder(digestOf(token).toString("hex"))).toBeNull();
  });

  it("has its name alone, however many ask for it at once", async () => {
    const made = await Promise.allSettled(
      Array.from({ length: 6 }, () => tokens.create(request, "bootstrap")),
    );
    expect(made.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const refused = made.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
    expect(refused).toMatchObject(Array.from({ length: 5 }, () => ({ code: "in-use" })));
  });

  it("is good until its end by the database's clock, and keeps its name after that", async () => {
    const { token, expiresAt, createdAt } = await tokens.create(
      { ...request, expiresInS: 3_600 },
      "bootstrap",
    );
    expect(Date.parse(String(expiresAt)) - Date.parse(String(createdAt))).toBe(3_600_000);
    await age(3_590);
    expect(await tokens.holder(token)).toEqual(request);
    await age(10);
    expect(await tokens.holder(token)).toBeNull();
    expect(await tokens.list()).toMatchObject([bootstrap, { name: "ci", expired: true }]);
    await expect(tokens.create(request, "bootstrap")).rejects.toMatchObject({ code: "in-use" });
  });

  it("that is revoked is so at once for every replica, and its name is free", async () => {
    const other = await openDatabase(bed.url, migrations);
    onTestFinished(() => other.destroy());
    const elsewhere = new TokenRecords(other);
    const { token } = await tokens.create(request, "bootstrap");
    expect(await elsewhere.holder(token)).toEqual(request);
    await tokens.revoke("ci");
    expect(await elsewhere.holder(token)).toBeNull();
    const second = await elsewhere.create({ ...request, role: "viewer" }, "bootstrap");
    expect(await tokens.holder(token)).toBeNull();
    expect(await tokens.holder(second.token)).toEqual({ name: "ci", role: "viewer" });
  });

  it("that nobody made cannot be revoked", async () => {
    await expect(tokens.revoke("nobody")).rejects.toMatchObject({ code: "unknown-token" });
  });

  it("of the orchestrator's own making is neither made again nor revoked", async () => {
    await expect(tokens.create({ ...request, name: "bootstrap" }, "bootstrap")).rejects.toMatchObject({
      code: "in-use",
    });
    await expect(tokens.revoke("bootstrap")).rejects.toMatchObject({
      code: "in-use",
      message: expect.stringContaining("the file admin-token"),
    });
  });
});
