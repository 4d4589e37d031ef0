import { createKeyPair } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { databaseManifest } from "../fixtures/records-bed.ts";
import { doorOf, environmentOf, openDatabaseRoles } from "./database-roles.ts";

const login = { user: "baton-pl-1", password: "secret" };
const at = (url: string, ca?: string) => ({
  ...databaseManifest("books"),
  url,
  ...(ca !== undefined && { ca }),
});

describe("a database", () => {
  it.each([
    ["postgres://db.example/books", { host: "db.example", port: 5_432, database: "books" }],
    ["postgresql://10.0.0.1:6432/b", { host: "10.0.0.1", port: 6_432, database: "b" }],
    ["postgres://[::1]:1/b", { host: "::1", port: 1, database: "b" }],
  ])("is found at %s", (url, door) => {
    expect(doorOf(at(url))).toMatchObject(door);
  });

  it("is told to an application as PostgreSQL's tools read it", () => {
    expect(environmentOf(at("postgresql://[::1]/books"), login)).toEqual({
      DATABASE_URL: "postgresql://baton-pl-1:secret@[::1]:5432/books",
      PGHOST: "::1",
      PGPORT: "5432",
      PGDATABASE: "books",
      PGUSER: "baton-pl-1",
      PGPASSWORD: "secret",
    });
  });

  it("with certificates is never reached without them", () => {
    expect(environmentOf(at("postgres://db:1/books", "PEM"), login)).toMatchObject({
      DATABASE_URL: "postgres://baton-pl-1:secret@db:1/books?sslmode=verify-full",
      PGSSLMODE: "verify-full",
      BATON_DATABASE_CA: "PEM",
    });
  });

  it("has a role for each placement and epoch, with a name that the server does not cut", async () => {
    const { privateKey } = await createKeyPair();
    const open = (application: string, signingKey = privateKey) =>
      openDatabaseRoles({ database: databaseManifest("books"), application, signingKey });
    const roles = open("ledger");
    const [one, other] = ["pl-00000000000000000001", "pl-00000000000000000002"];
    const names = [
      roles.roleOf({ placement: one, epoch: 1 }),
      roles.roleOf({ placement: one, epoch: 11 }),
      roles.roleOf({ placement: other, epoch: 1 }),
      roles.roleOf({ placement: one, epoch: Number.MAX_SAFE_INTEGER }),
      open("shop").roleOf({ placement: one, epoch: 1 }),
      open("ledger", (await createKeyPair()).privateKey).roleOf({ placement: one, epoch: 1 }),
    ];
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
  });
});
