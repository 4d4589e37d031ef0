import { AppError, newNonce, parseAs } from "@baton/protocol";
import * as v from "valibot";
import { createPostgresLogin, createPostgresRoleAdmin } from "./postgres-role.ts";
import { type PostgresDoor, type PostgresLogin, failed, withSession } from "./postgres-session.ts";

/** The oldest version on which the fence was tried. */
const oldestVersion = 150_000;
const factsSchema = v.object({
  version: v.number(),
  standby: v.boolean(),
  makes_roles: v.boolean(),
  sees_all: v.boolean(),
  ends_sessions: v.boolean(),
  /** Null: there is no such role. */
  group_logs_in: v.nullable(v.boolean()),
});

/**
 * Sees that placements can be given roles at a server, and that these can be taken away: by what the administrator may do there, and with a role that is made,
 * tried, shut out and dropped.
 *
 * @throws AppError `database-unfit` saying what is wrong; what `RoleAdmin` throws when the server does not answer or refuses.
 */
export async function assertPostgresRoles(params: {
  readonly door: PostgresDoor;
  readonly admin: () => Promise<PostgresLogin>;
  readonly group: string;
  readonly timeoutMs: number;
}): Promise<void> {
  const { door, admin, group, timeoutMs } = params;
  const facts = await askFacts(params);
  if (facts.version < oldestVersion)
    throw unfit(door, "the server is older than PostgreSQL 15, and the fence was never tried there");
  if (facts.standby) throw unfit(door, "the server is a standby; name the primary");
  if (!facts.makes_roles) throw unfit(door, "the administrator may not make roles; give it CREATEROLE");
  if (!facts.sees_all)
    throw unfit(door, "the administrator may not see other roles' sessions; grant it pg_read_all_stats");
  if (!facts.ends_sessions)
    throw unfit(door, "the administrator may not end other roles' sessions; grant it pg_signal_backend");
  if (facts.group_logs_in === null)
    throw unfit(door, `there is no role "${group}"; create it without LOGIN, and let it own the tables`);
  if (facts.group_logs_in)
    throw unfit(
      door,
      `the role "${group}" may log in, so whoever acts as it could come back past a fence; take LOGIN from it`,
    );

  const roles = createPostgresRoleAdmin({ door, admin });
  const role = `baton-trial-${newNonce()}`;
  const login = { user: role, password: newNonce() };
  try {
    await roles.issue({ role, password: login.password, group, timeoutMs });
    await tryRole({ door, group, login, roles, timeoutMs });
  } finally {
    // Whatever stays of it, disabled, harms nobody.
    await dropRole({ door, admin, role, timeoutMs }).catch(() => undefined);
  }
}

async function tryRole(params: {
  readonly door: PostgresDoor;
  readonly group: string;
  readonly login: PostgresLogin;
  readonly roles: ReturnType<typeof createPostgresRoleAdmin>;
  readonly timeoutMs: number;
}): Promise<void> {
  const { door, group, login, roles, timeoutMs } = params;
  const role = login.user;
  const tryLogin = createPostgresLogin({ door, login });
  const acting = await actingAs(params);
  if (acting !== group) throw unfit(door, `a new member of "${group}" acts as "${acting}"`);
  const powers = (await roles.remnants({ role, timeoutMs })).filter(({ kind }) => kind === "power");
  if (powers.length > 0)
    throw unfit(
      door,
      `members of "${group}" could get around a fence (${powers.map(({ id }) => id).join(", ")}); take that from it`,
    );
  const guessed = createPostgresLogin({ door, login: { ...login, password: newNonce() } });
  if ((await guessed({ timeoutMs })).kind === "let-in")
    throw unfit(door, "the server does not ask for passwords; let pg_hba.conf say scram-sha-256");
  await roles.endSessions({ role, timeoutMs });
  await roles.disable({ role, timeoutMs });
  if ((await tryLogin({ timeoutMs })).kind === "let-in")
    throw unfit(door, "a role that was disabled was let in; name the server itself, not a pooler before it");
}

async function askFacts(params: {
  readonly door: PostgresDoor;
  readonly admin: () => Promise<PostgresLogin>;
  readonly group: string;
  readonly timeoutMs: number;
}) {
  const { door, group, timeoutMs } = params;
  const login = await params.admin();
  const rows = await withSession({ door, login, timeoutMs }, (ask) => ask(factsStatement, [group])).catch(
    (error: unknown) => {
      throw failed("look at the database", door, error);
    },
  );
  return parseAs(factsSchema, rows[0], "the server's answer", "storage-failed");
}

const actingAs = async (params: {
  readonly door: PostgresDoor;
  readonly login: PostgresLogin;
  readonly timeoutMs: number;
}): Promise<string> => {
  try {
    const [row] = await withSession(params, (ask) => ask("select current_user as name"));
    return String(row?.["name"]);
  } catch (error) {
    throw failed("log in with a new role", params.door, error);
  }
};

const dropRole = async (params: {
  readonly door: PostgresDoor;
  readonly admin: () => Promise<PostgresLogin>;
  readonly role: string;
  readonly timeoutMs: number;
}): Promise<void> => {
  const login = await params.admin();
  await withSession({ ...params, login }, (ask) => ask(`drop role if exists "${params.role}"`));
};

const factsStatement = `
  select current_setting('server_version_num')::int as version,
    pg_is_in_recovery() as standby,
    (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) as makes_roles,
    pg_has_role('pg_read_all_stats', 'usage') as sees_all,
    pg_has_role('pg_signal_backend', 'usage') as ends_sessions,
    (select rolcanlogin from pg_roles where rolname = $1) as group_logs_in`;

const unfit = (door: PostgresDoor, why: string): AppError =>
  new AppError("database-unfit", `cannot use the database at ${door.host}:${door.port}: ${why}`);
