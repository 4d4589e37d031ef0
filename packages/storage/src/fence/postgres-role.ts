import { AppError, isAppError, parseAs } from "@baton/protocol";
import pg from "pg";
import * as v from "valibot";
import { type PostgresDoor, type PostgresLogin, failed, stateOf, withSession } from "./postgres-session.ts";
import { standing } from "./fence-errors.ts";
import type { RoleAdmin, RoleIssuer, TryLogin } from "./role-admin.port.ts";
import { noPassword, scramVerifier } from "./scram-verifier.ts";

const undefinedObject = "42704";
/** The second one of two who make it at the same moment. */
const duplicates: readonly (string | null)[] = ["42710", "23505"];
const rowsSchema = v.array(
  v.object({
    kind: v.picklist(["role", "session", "starting", "prepared", "login", "power"]),
    id: v.string(),
  }),
);
const namesSchema = v.array(v.object({ name: v.string() }));
/** A longer name is cut by the server, and would be another role's. */
const longestName = 63;

/**
 * PostgreSQL, tried on versions 15 and 18. The role is found by its session user, so whatever it did `SET ROLE` to. A role that was renamed by hand in between is another
 * one here, and nobody sees its sessions.
 *
 * @param params.admin asked before every call; may alter the role, is a member of `pg_read_all_stats` and of the role or `pg_signal_backend`.
 */
export function createPostgresRoleAdmin(params: {
  readonly door: PostgresDoor;
  readonly admin: () => Promise<PostgresLogin>;
}): RoleAdmin & RoleIssuer {
  const { door, admin } = params;
  const session = async <T>(
    doing: string,
    timeoutMs: number,
    work: Parameters<typeof withSession<T>>[1],
  ): Promise<T> => {
    const login = await admin();
    try {
      return await withSession({ door, login, timeoutMs }, work);
    } catch (error) {
      throw isAppError(error) ? error : failed(doing, door, error);
    }
  };

  return {
    async issue({ role, password, group, timeoutMs }) {
      const doing = `make the role "${role}"`;
      for (const name of [role, group]) assertName(doing, name);
      const verifier = await scramVerifier(password);
      const [name, owner] = [pg.escapeIdentifier(role), pg.escapeIdentifier(group)];
      await session(doing, timeoutMs, async (ask) => {
        // One message is one transaction: whoever disables the role at this moment comes before both or after both.
        const made = ask(
          `create role ${name} login inherit password '${verifier}' in role ${owner}; alter role ${name} set role to ${pg.escapeLiteral(group)}`,
        );
        await made.catch((error: unknown) => {
          if (!duplicates.includes(stateOf(error))) throw error;
        });
        const [found] = await ask("select rolcanlogin from pg_roles where rolname = $1", [role]);
        if (found?.["rolcanlogin"] !== true) throw standing(role);
      });
    },
    older: ({ prefix, epoch, timeoutMs }) =>
      session(`see the older roles of "${prefix}"`, timeoutMs, async (ask) => {
        const listed = await ask(olderStatement, [prefix]);
        const rows = parseAs(namesSchema, listed, "the roles of the server", "storage-unclear");
        return rows.map(({ name }) => name).filter((name) => Number(/-(\d+)$/.exec(name)?.[1]) < epoch);
      }),
    async disable({ role, timeoutMs }) {
      const doing = `disable the role "${role}"`;
      assertName(doing, role);
      await session(doing, timeoutMs, async (ask) => {
        // A crash of the server must not bring the role back.
        await ask("set synchronous_commit to on");
        const [self] = await ask("select $1::text in (session_user, current_user) as is_self", [role]);
        if (self?.["is_self"] !== false)
          throw new AppError(
            "invalid-configuration",
            `cannot ${doing}: it is the administrator's own, who would shut itself out; give each placement a role of its own`,
          );
        const disabled = `role ${pg.escapeIdentifier(role)} nologin connection limit 0 password '${noPassword()}'`;
        try {
          await ask(`alter ${disabled}`);
        } catch (error) {
          if (stateOf(error) !== undefinedObject) throw error;
          await ask(`create ${disabled}`).catch(async (late: unknown) => {
            // Somebody made it in between.
            if (!duplicates.includes(stateOf(late))) throw late;
            await ask(`alter ${disabled}`);
          });
        }
      });
    },
    async endSessions({ role, timeoutMs }) {
      await session(`end the sessions of the role "${role}"`, timeoutMs, (ask) =>
        ask(
          "select pg_terminate_backend(pid) from pg_stat_activity where usesysid = (select oid from pg_roles where rolname = $1)",
          [role],
        ),
      );
    },
    remnants: ({ role, timeoutMs }) =>
      session(`see what is left of the role "${role}"`, timeoutMs, async (ask) => {
        const [rights] = await ask("select pg_has_role('pg_read_all_stats', 'usage') as sees_all");
        if (rights?.["sees_all"] !== true)
          throw new AppError(
            "storage-credentials",
            `cannot see what is left of the role "${role}": the administrator may not see other roles' sessions; grant it pg_read_all_stats`,
          );
        // In this order: whoever leaves the first list must be in the second.
        const transactions = await ask(
          "select distinct pid from pg_locks where locktype = 'virtualxid' and pid is not null",
        );
        const listed = await ask(remnantsStatement, [role, transactions.map(({ pid }) => pid)]);
        const rows = parseAs(rowsSchema, listed, `what is left of the role "${role}"`, "storage-unclear");
        if (!rows.some(({ kind }) => kind === "role"))
          throw new AppError(
            "storage-unclear",
            `cannot see what is left of the role "${role}": the server does not know it, or not any more; disable it again`,
          );
        return rows.flatMap(({ kind, id }) => (kind === "role" ? [] : [{ kind, id }]));
      }),
  };
}

/** A login at that very server, with what the application has. */
export const createPostgresLogin =
  (params: { readonly door: PostgresDoor; readonly login: PostgresLogin }): TryLogin =>
  async ({ timeoutMs }) => {
    const { door, login } = params;
    try {
      const [row] = await withSession({ ...params, timeoutMs }, (ask) => ask("select session_user as name"));
      return { kind: "let-in", as: String(row?.["name"]) };
    } catch (error) {
      const code = stateOf(error);
      if (code?.startsWith("28") === true) return { kind: "refused", code };
      throw failed(`try to log in as "${login.user}"`, door, error);
    }
  };

const olderStatement = `
  select r.rolname::text as name from pg_roles r
  where starts_with(r.rolname::text, $1)
    and (r.rolcanlogin or exists (select from pg_stat_activity a where a.usesysid = r.oid))`;

/**
 * - A connection is in pg_stat_activity only once it is let in (from version 18 earlier, as "starting"), but its transaction, by which the server reads the role, is
 *   in pg_locks all the time: who has one there and is not here is being let in.
 * - Who prepared a transaction is its current user, which may be any that the role may SET ROLE to.
 * - Of a role that was dropped the sessions go on, without a name.
 * - Who may SET ROLE to another role may change that one's password, and come back as it where it may log in.
 */
const remnantsStatement = `
  with fenced as (select * from pg_roles where rolname = $1)
  select 'role' as kind, rolname::text as id from fenced
  union all
  select 'login', 'may log in' from fenced where rolcanlogin
  union all
  select 'power', case when r.rolsuper then 'superuser ' when r.rolcreaterole then 'createrole ' else 'member of ' end || r.rolname
    from fenced f, pg_roles r
    where pg_has_role(f.oid, r.oid, 'member')
      and (r.rolsuper or r.rolcreaterole or (r.rolcanlogin and r.oid <> f.oid)
        or r.rolname in ('pg_execute_server_program', 'pg_write_server_files'))
  union all
  select 'session', concat_ws(' ', a.backend_type, a.pid, 'since', a.backend_start)
    from pg_stat_activity a
    where a.usesysid = (select oid from fenced)
      or (a.usesysid <> 0 and not exists (select from pg_roles r where r.oid = a.usesysid))
  union all
  select 'starting', 'process ' || t.pid
    from unnest($2::int[]) t (pid)
    where not exists (select from pg_stat_activity a where a.pid = t.pid and a.state is distinct from 'starting')
  union all
  select 'prepared', p.gid || ' in ' || p.database
    from pg_prepared_xacts p left join pg_roles owner on owner.rolname = p.owner, fenced f
    where owner.oid is null or pg_has_role(f.oid, owner.oid, 'member')`;

function assertName(doing: string, role: string): void {
  const bytes = Buffer.byteLength(role);
  if (bytes > 0 && bytes <= longestName && !role.includes("\0")) return;
  throw new AppError(
    "invalid-configuration",
    `cannot ${doing}: a role's name has 1 to ${longestName} bytes; name another one`,
  );
}
