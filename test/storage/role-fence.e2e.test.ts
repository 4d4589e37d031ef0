/**
 * P1 at a database: what is left of an old writer's role is found and ended, and a source that is caught in the middle of its writes, and goes on after the
 * target's first one, changes nothing any more. By hand with TWO_ROLES=200 for so many random moments.
 */
import { randomInt } from "node:crypto";
import { type Socket, connect as connectSocket, createServer } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import {
  assertRoleOpen,
  createPostgresLogin,
  createPostgresRoleAdmin,
  fenceRole,
} from "@baton/storage/fence";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import {
  type Account,
  type PostgresBed,
  newAccount,
  openPostgresBed,
  postgresBedMs,
  postgresOptions,
} from "./postgres-bed.ts";
import { startPostgresWriter } from "./postgres-writer.ts";

const timeoutMs = 20_000;
const points = Number(process.env["TWO_ROLES"] ?? "20");
const atOnce = 4;

describe("the fence of a role on PostgreSQL", postgresOptions, () => {
  let bed: PostgresBed;
  let root: pg.Pool;
  let admin: ReturnType<typeof createPostgresRoleAdmin>;
  const cleaning: (() => unknown)[] = [];
  beforeAll(async () => {
    bed = await openPostgresBed();
    root = new pg.Pool({ ...bed.door, ...bed.root, max: 2 });
    await root.query("create role owners nologin");
    await root.query("create role neighbour login");
    await root.query(
      'create table written (n bigserial, "by" text not null default session_user, at timestamptz not null default clock_timestamp())',
    );
    await root.query("alter table written owner to owners");
    admin = createPostgresRoleAdmin({ door: bed.door, admin: async () => bed.root });
  }, postgresBedMs);
  afterEach(async () => {
    for (const clean of cleaning.splice(0).toReversed()) await clean();
  });
  afterAll(async () => {
    await root.end();
    await bed.close();
  }, postgresBedMs);

  let count = 0;
  const makeAccount = async (options = "", roles: readonly string[] = []): Promise<Account> => {
    count += 1;
    const account = newAccount(`writer-${count}`);
    const { user, password } = account;
    await root.query(
      `create role "${user}" login password '${password}' ${options} in role ${["owners", ...roles].join(", ")}`,
    );
    return account;
  };
  const loginOf = (login: Account) => createPostgresLogin({ door: bed.door, login });
  const assertOpen = (account: Account) =>
    assertRoleOpen({ admin, role: account.user, tryLogin: loginOf(account), timeoutMs });
  const fence = (account: Account, deadlineMs = 60_000) =>
    fenceRole({ admin, role: account.user, tryLogin: loginOf(account), deadlineMs });
  const remnants = (account: Account) => admin.remnants({ role: account.user, timeoutMs });
  const rowsBy = async (by: string): Promise<number> =>
    Number((await root.query('select count(*) as n from written where "by" = $1', [by])).rows[0].n);
  const expectEnded = (session: pg.Client, statement = "select 1") =>
    expect(session.query(statement)).rejects.toThrow(/terminat|not queryable|ECONNRESET|EPIPE/);
  const code = (expected: string): unknown => expect.objectContaining({ code: expected });
  const unproven = (why: string): unknown =>
    expect.objectContaining({ code: "fence-unproven", message: expect.stringContaining(why) as unknown });

  describe("what is left", () => {
    it("is nothing after it, and it may be repeated", async () => {
      const account = await makeAccount();
      const other = await makeAccount();
      await assertOpen(account);
      const sessions = [await bed.connect(account), await bed.connect(account, "template1")];
      const stays = await bed.connect(other);
      expect((await fence(account)).ended).toHaveLength(2);
      for (const session of sessions) await expectEnded(session);
      expect((await fence(account)).ended).toEqual([]);
      expect((await stays.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
      await assertOpen(other);
    });

    it("is nobody's password: neither the old one nor one by which the server would let in whoever may log in", async () => {
      const account = await makeAccount();
      await fence(account);
      await expect(assertOpen(account)).rejects.toEqual(unproven("refuses its password already"));
      await root.query(`alter role "${account.user}" login connection limit -1`);
      expect(await loginOf(account)({ timeoutMs })).toEqual({ kind: "refused", code: "28P01" });
      expect(await remnants(account)).toEqual([{ kind: "login", id: "may log in" }]);
    });

    it("is a role that was never made, which a late maker finds disabled", async () => {
      const account = newAccount("never-made");
      await fence(account);
      await expect(root.query(`create role "never-made" login password 'x'`)).rejects.toMatchObject({
        code: "42710",
      });
    });

    it("is disabled, whoever makes it at the same moment", async () => {
      for (let round = 0; round < 10; round += 1) {
        const account = newAccount(`raced-${round}`);
        await Promise.allSettled([
          root.query(`create role "${account.user}" login password '${account.password}'`),
          admin.disable({ role: account.user, timeoutMs }),
        ]);
        await fence(account);
        expect(await loginOf(account)({ timeoutMs })).toMatchObject({ kind: "refused" });
      }
    });

    it("is found by the session's user, whatever it did SET ROLE to", async () => {
      const account = await makeAccount();
      const session = await bed.connect(account);
      await session.query("set role owners; begin; insert into written default values");
      expect((await fence(account)).ended).toHaveLength(1);
      await expectEnded(session, "commit");
      expect(await rowsBy(account.user)).toBe(0);
    });

    it("counts walsenders and the workers of a parallel query", async () => {
      const account = await makeAccount("replication");
      const walsender = await openWalsender(account);
      const session = await bed.connect(account);
      await session
        .query(
          "set force_parallel_mode to on; set parallel_setup_cost to 0; set min_parallel_table_scan_size to 0",
        )
        .catch(() => session.query("set debug_parallel_query to on"));
      const working = session.query("select pg_sleep(600)").catch((error: unknown) => error);
      const kinds = async () => {
        const sessions = (await remnants(account)).filter(({ kind }) => kind === "session");
        return sessions.map(({ id }) => id.replace(/ \d+ since.*/, ""));
      };
      await until("all are there", async () => (await kinds()).length === 3);
      expect((await kinds()).toSorted()).toEqual(["client backend", "parallel worker", "walsender"]);
      await fence(account);
      expect(await working).toMatchObject({ code: "57P01" });
      await walsender.ended;
    });

    it("is a connection that was let in and that no list of sessions shows yet", async () => {
      const account = await makeAccount();
      await root.query("create database held");
      const holder = await bed.connect(bed.root);
      // Who connects to a database that is being renamed waits between the look at its role and its place in the list.
      await holder.query("begin; alter database held rename to renamed");
      const connecting = bed.connect(account, "held").catch((error: unknown) => error);
      await until("it waits", async () => (await remnants(account)).some(({ kind }) => kind === "starting"));
      const seen = await root.query("select from pg_stat_activity where usename = $1", [account.user]);
      const version = Number((await root.query("show server_version_num")).rows[0].server_version_num);
      if (version < 180_000) expect(seen.rowCount).toBe(0);
      await expect(fence(account, 2_000)).rejects.toEqual(unproven("connections are being let in"));
      const fencing = fence(account);
      await holder.query("rollback");
      expect((await fencing).ended.length).toBeGreaterThan(0);
      const late = await connecting;
      if (late instanceof pg.Client) await expectEnded(late);
    });

    it("is a connection that does not say its password, until it is gone: it may be anybody's", async () => {
      const account = await makeAccount();
      const silent = await openSilentLogin(await makeAccount());
      await until("it is seen", async () =>
        (await remnants(account)).some(({ kind }) => kind === "starting"),
      );
      await expect(fence(account, 2_000)).rejects.toEqual(unproven("connections are being let in"));
      silent.destroy();
      await fence(account);
    });

    it.each(["", "set role owners;"])(
      "is a prepared transaction, also under another role (%s)",
      async (set) => {
        const account = await makeAccount();
        const session = await bed.connect(account);
        const gid = `booking-${account.user}`;
        await session.query(`${set} begin; insert into written default values; prepare transaction '${gid}'`);
        await expect(fence(account)).rejects.toEqual(unproven(`${gid} in postgres`));
        await expectEnded(session);
        await root.query(`rollback prepared '${gid}'`);
        await fence(account);
        expect(await rowsBy(account.user)).toBe(0);
      },
    );

    it.each([
      ["superuser", "superuser", []],
      ["createrole", "createrole", []],
      ["member of pg_execute_server_program", "", ["pg_execute_server_program"]],
      ["member of neighbour", "", ["neighbour"]],
    ])("is the power of a %s", async (power, options, roles) => {
      const account = await makeAccount(options, roles);
      await expect(assertOpen(account)).rejects.toEqual(unproven(power));
      await expect(fence(account)).rejects.toEqual(unproven(power));
    });

    it("is what a dropped role's session still does", async () => {
      const account = await makeAccount();
      const session = await bed.connect(account);
      await root.query(`drop role "${account.user}"`);
      await expect(remnants(account)).rejects.toEqual(code("storage-unclear"));
      await expect(fence(account, 2_000)).rejects.toEqual(unproven("sessions are still there"));
      await session.end();
      await fence(account);
    });
  });

  describe("what is not known", () => {
    it("is what an administrator may not do or see", async () => {
      const account = await makeAccount();
      const weak = await makeAccount();
      const powerless = createPostgresRoleAdmin({ door: bed.door, admin: async () => weak });
      const params = { role: account.user, timeoutMs };
      await bed.connect(account);
      await expect(powerless.disable(params)).rejects.toEqual(code("storage-credentials"));
      await expect(powerless.endSessions(params)).rejects.toEqual(code("storage-credentials"));
      await expect(powerless.remnants(params)).rejects.toEqual(code("storage-credentials"));
      await assertOpen(account);
    });

    it("is done by one who is no superuser", async () => {
      const account = await makeAccount();
      const able = await makeAccount("createrole", ["pg_read_all_stats", "pg_signal_backend"]);
      // Before version 16 creating roles is enough.
      await root.query(`grant "${account.user}" to "${able.user}" with admin option`);
      await bed.connect(account);
      const record = await fenceRole({
        admin: createPostgresRoleAdmin({ door: bed.door, admin: async () => able }),
        role: account.user,
        tryLogin: loginOf(account),
        deadlineMs: 60_000,
      });
      expect(record.ended).toHaveLength(1);
    });

    it("is what a server that is mute, gone, or another one says", async () => {
      const account = await makeAccount();
      const mute = createServer((socket) => socket.on("error", () => undefined).resume());
      mute.listen(0, "127.0.0.1");
      await once(mute, "listening");
      const { port } = mute.address() as AddressInfo;
      const elsewhere = (door: typeof bed.door) => ({
        admin: createPostgresRoleAdmin({ door, admin: async () => bed.root }),
        tryLogin: createPostgresLogin({ door, login: account }),
      });
      const params = { role: account.user, timeoutMs: 300 };
      const expectUnclear = async ({ admin: asked, tryLogin }: ReturnType<typeof elsewhere>) => {
        for (const call of ["disable", "endSessions", "remnants"] as const)
          await expect(asked[call](params)).rejects.toEqual(code("storage-unclear"));
        await expect(tryLogin(params)).rejects.toEqual(code("storage-unclear"));
      };
      await expectUnclear(elsewhere({ ...bed.door, port }));
      mute.close();
      await once(mute, "close");
      await expectUnclear(elsewhere({ ...bed.door, port }));
      const { tryLogin } = elsewhere({ ...bed.door, database: "absent" });
      await expect(tryLogin(params)).rejects.toEqual(code("storage-failed"));
    });

    it("is not asked about a name that the server would cut, or about the administrator's own", async () => {
      for (const role of ["", "x".repeat(64), bed.root.user])
        await expect(admin.disable({ role, timeoutMs })).rejects.toEqual(code("invalid-configuration"));
    });

    it("is never told with a password in it", async () => {
      const account = await makeAccount();
      const wrong = { ...bed.root, password: account.password };
      const asked = createPostgresRoleAdmin({ door: bed.door, admin: async () => wrong });
      const error: unknown = await asked
        .disable({ role: account.user, timeoutMs })
        .catch((each: unknown) => each);
      expect(error).toEqual(code("storage-credentials"));
      expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(account.password);
    });
  });

  describe("two writers", { timeout: 600_000 }, () => {
    type Fence = "whole" | "login only";
    const handOver = async (kind: Fence) => {
      const old = await makeAccount();
      const target = await makeAccount();
      await assertOpen(old);
      const writer = startPostgresWriter({ ...bed.door, ...old });
      cleaning.push(() => writer.kill());
      await until("it writes", () => writer.lanes.every((lane) => lane.said >= 2), timeoutMs);
      await delay(randomInt(300));
      await writer.stop();

      if (kind === "whole") await fence(old);
      else await admin.disable({ role: old.user, timeoutMs });
      const atFence = await rowsBy(old.user);
      const session = await bed.connect(target);
      const [first] = (await session.query("insert into written default values returning at")).rows;
      await session.end();

      const since = writer.lanes.map(({ said }) => said);
      writer.goOn();
      await until(
        "each lane went on or was shut out",
        () => writer.lanes.every(({ said, isRefused }, lane) => isRefused || said >= (since[lane] ?? 0) + 3),
        timeoutMs,
      );
      const later = await root.query('select count(*) as n from written where "by" = $1 and at > $2', [
        old.user,
        first.at,
      ]);
      await writer.kill();
      return { atFence, atEnd: await rowsBy(old.user), later: Number(later.rows[0].n) };
    };

    const rounds = Array.from({ length: Math.ceil(points / atOnce) }, (_, n) =>
      Math.min(atOnce, points - n * atOnce),
    );
    const handOvers = (times: number, kind: Fence) =>
      Promise.all(Array.from({ length: times }, () => handOver(kind)));

    it(`a source that goes on writes nothing after the target, at each of ${points} random moments`, async () => {
      for (const times of rounds)
        for (const { atFence, atEnd, later } of await handOvers(times, "whole")) {
          expect(atFence).toBeGreaterThan(0);
          expect({ atEnd, later }).toEqual({ atEnd: atFence, later: 0 });
        }
    });

    it("is seen to write where the sessions are not ended", async () => {
      for (const { atFence, atEnd, later } of await handOvers(atOnce, "login only")) {
        expect(atEnd).toBeGreaterThan(atFence);
        expect(later).toBeGreaterThan(0);
      }
    });
  });

  /** Says whom it is for, and nothing more. */
  async function openSilentLogin({ user }: Account): Promise<Socket> {
    const socket = connectSocket(bed.door);
    cleaning.push(() => socket.destroy());
    socket.on("error", () => undefined);
    await once(socket, "connect");
    const words = Buffer.from(`user\0${user}\0database\0postgres\0\0`);
    const head = Buffer.alloc(8);
    head.writeInt32BE(words.byteLength + 8);
    // The protocol's version, 3.0.
    head.writeInt32BE(196_608, 4);
    socket.write(Buffer.concat([head, words]));
    return socket;
  }

  async function openWalsender(account: Account) {
    const options = { ...bed.door, ...account, replication: "database" };
    const client = new pg.Client(options);
    const ended = new Promise<void>((resolve) => client.once("end", resolve));
    client.on("error", () => undefined);
    await client.connect();
    return { ended };
  }
});
