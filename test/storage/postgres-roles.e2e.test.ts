/** Roles of placements on a real server: made once, never again after they were shut out, and refused where they could not be shut out. */
import {
  assertPostgresRoles,
  createPostgresLogin,
  createPostgresRoleAdmin,
  shutOutOlder,
} from "@baton/storage/fence";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import {
  type Account,
  type PostgresBed,
  newAccount,
  openPostgresBed,
  postgresBedMs,
  postgresOptions,
} from "./postgres-bed.ts";

const timeoutMs = 20_000;
const group = "owners";

describe("roles of placements on PostgreSQL", postgresOptions, () => {
  let bed: PostgresBed;
  let root: pg.Pool;
  let roles: ReturnType<typeof createPostgresRoleAdmin>;
  beforeAll(async () => {
    bed = await openPostgresBed();
    root = new pg.Pool({ ...bed.door, ...bed.root, max: 2 });
    await root.query(`create role ${group} nologin`);
    await root.query(`grant create on schema public to ${group}`);
    roles = createPostgresRoleAdmin({ door: bed.door, admin: async () => bed.root });
  }, postgresBedMs);
  afterAll(async () => {
    await root.end();
    await bed.close();
  }, postgresBedMs);

  const issue = ({ user, password }: Account) => roles.issue({ role: user, password, group, timeoutMs });
  const loginOf = (login: Account) => createPostgresLogin({ door: bed.door, login })({ timeoutMs });
  const code = (expected: string): unknown => expect.objectContaining({ code: expected });

  it("are made once, and work in the name of their group, so that the next one can go on", async () => {
    const [one, next] = [newAccount("placement-1"), newAccount("placement-2")];
    for (const account of [one, one, next]) await issue(account);
    expect(await loginOf(one)).toEqual({ kind: "let-in", as: one.user });
    const session = await bed.connect(one);
    await session.query('create table made (n int, "by" text default session_user)');
    await session.query("insert into made values (1)");
    const later = await bed.connect(next);
    await later.query("alter table made add column more int");
    await later.query("insert into made values (2)");
    expect((await later.query('select "by" from made order by n')).rows).toEqual([
      { by: one.user },
      { by: next.user },
    ]);
    const owner = await root.query("select tableowner from pg_tables where tablename = 'made'");
    expect(owner.rows).toEqual([{ tableowner: group }]);
  });

  it("are never made again after they were shut out, and a late maker does not let them in", async () => {
    const [used, late] = [newAccount("used"), newAccount("late")];
    await issue(used);
    for (const account of [used, late]) {
      await roles.disable({ role: account.user, timeoutMs });
      await expect(issue(account)).rejects.toEqual(code("fence-standing"));
      expect(await loginOf(account)).toMatchObject({ kind: "refused" });
    }
  });

  it("end shut out, or were never made, whoever comes first", async () => {
    const accounts = Array.from({ length: 20 }, (_, n) => newAccount(`race-${n}`));
    const outcomes = await Promise.all(
      accounts.map(async (account) => {
        const [issued] = await Promise.allSettled([
          issue(account),
          roles.disable({ role: account.user, timeoutMs }),
        ]);
        expect(await loginOf(account)).toMatchObject({ kind: "refused" });
        return issued.status === "fulfilled" ? "issued" : (issued.reason as { code: string }).code;
      }),
    );
    for (const outcome of outcomes) expect(["issued", "fence-standing"]).toContain(outcome);
  });

  it("of earlier epochs are shut out with their sessions, those of later ones and of others are not", async () => {
    const accounts = ["baton-x-pl-1", "baton-x-pl-2", "baton-x-pm-3", "baton-x-pl-10", "baton-y-pl-1"].map(
      newAccount,
    );
    const sessions: pg.Client[] = [];
    for (const account of accounts) {
      await issue(account);
      sessions.push(await bed.connect(account));
    }
    // Nobody may log in as it any more, but the server is still busy for it.
    await roles.disable({ role: "baton-x-pl-1", timeoutMs });
    const busy = sessions.map((session) =>
      session.query("select pg_sleep(2)").then(
        () => "done",
        () => "ended",
      ),
    );
    await shutOutOlder({ admin: roles, prefix: "baton-x-", epoch: 4, deadlineMs: timeoutMs });
    expect(await roles.older({ prefix: "baton-x-", epoch: 4, timeoutMs })).toEqual([]);
    expect(await Promise.all(busy)).toEqual(["ended", "ended", "ended", "done", "done"]);
    const logins = await Promise.all(accounts.map(loginOf));
    expect(logins.map(({ kind }) => kind)).toEqual(["refused", "refused", "refused", "let-in", "let-in"]);
  });

  it("have passwords that no log of the server holds", async () => {
    await root.query("alter system set log_statement = 'all'");
    await root.query("select pg_reload_conf()");
    const account = newAccount("logged");
    await issue(account);
    await roles.disable({ role: account.user, timeoutMs });
    await root.query("alter system reset log_statement");
    await root.query("select pg_reload_conf()");
    await until("it is logged", () => bed.log().includes('alter role "logged"'));
    expect(bed.log()).toContain('create role "logged"');
    expect(bed.log()).not.toContain(account.password);
  });

  describe("are possible at a database", () => {
    const check = (admin: Account = bed.root, of = group) =>
      assertPostgresRoles({ door: bed.door, admin: async () => admin, group: of, timeoutMs });
    const unfit = (why: string): unknown =>
      expect.objectContaining({ code: "database-unfit", message: expect.stringContaining(why) as unknown });
    let count = 0;
    const makeAdmin = async (options = "", grants: readonly string[] = []): Promise<Account> => {
      const account = newAccount(`admin-${(count += 1)}`);
      await root.query(`create role "${account.user}" login password '${account.password}' ${options}`);
      for (const granted of grants)
        await root.query(`grant ${granted} to "${account.user}" with admin option`);
      return account;
    };
    const rights = ["pg_read_all_stats", "pg_signal_backend"];

    it("of a superuser, and of one who is none; the trial leaves nothing behind", async () => {
      await check();
      await check(await makeAdmin("createrole", [...rights, group]));
      const { rows } = await root.query("select from pg_roles where rolname like 'baton-trial-%'");
      expect(rows).toEqual([]);
    });

    it("only with every right that a fence needs", async () => {
      await expect(check(await makeAdmin("", [...rights, group]))).rejects.toEqual(unfit("CREATEROLE"));
      await expect(check(await makeAdmin("createrole", ["pg_signal_backend", group]))).rejects.toEqual(
        unfit("pg_read_all_stats"),
      );
      await expect(check(await makeAdmin("createrole", ["pg_read_all_stats", group]))).rejects.toEqual(
        unfit("pg_signal_backend"),
      );
      const wrong = { ...bed.root, password: "wrong" };
      await expect(check(wrong)).rejects.toEqual(code("storage-credentials"));
    });

    it.each([
      ["is not there", "missing", "", "there is no role"],
      ["may log in", "lively", "create role lively login", "may log in"],
      ["is a superuser", "mighty", "create role mighty superuser", "superuser mighty"],
      [
        "is a member of one that may log in",
        "indirect",
        "create role back login; create role indirect in role back",
        "member of back",
      ],
    ])("not for a group that %s", async (_, of, statement, why) => {
      await root.query(statement);
      await expect(check(bed.root, of)).rejects.toEqual(unfit(why));
    });

    it("not where the server asks for no password", async () => {
      await bed.trustEverybody(true);
      await expect(check()).rejects.toEqual(unfit("does not ask for passwords"));
      await bed.trustEverybody(false);
    });
  });
});
