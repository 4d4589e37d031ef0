import { createHash } from "node:crypto";
import type { KeyHolder } from "@baton/migration";
import { type DatabaseLogin, type DatabaseManifest, type PrivateKey, publicKeyOf } from "@baton/protocol";
import {
  type PostgresDoor,
  type RoleAdmin,
  type TryLogin,
  createPostgresLogin,
  createPostgresRoleAdmin,
  shutOutOlder,
} from "@baton/storage/fence";
import { deriveSecret } from "./derive-secret.ts";
import { readDatabaseLogin } from "./secrets.ts";

const requestMs = 10_000;
const shutOutMs = 15_000;
const usualPort = 5_432;

/** The roles of placements at a database: one for each placement and epoch. */
export interface DatabaseRoles {
  readonly admin: RoleAdmin;
  roleOf(holder: KeyHolder): string;
  /** A login as the holder, with its own password. */
  tryLogin(holder: KeyHolder): TryLogin;
  /**
   * Makes the holder's role, after those of earlier epochs were shut out and their sessions are gone. @returns how the application finds the database.
   * @throws AppError `fence-standing` when the role was shut out, `fence-unproven` when an earlier one has sessions that do not end.
   */
  issue(holder: KeyHolder): Promise<Readonly<Record<string, string>>>;
}

/** @param params.signingKey what the passwords are derived from: none is kept. */
export function openDatabaseRoles(params: {
  readonly database: DatabaseManifest;
  readonly application: string;
  readonly signingKey: PrivateKey;
}): DatabaseRoles {
  const { database, application, signingKey } = params;
  const door = doorOf(database);
  const admin = createPostgresRoleAdmin({ door, admin: () => readDatabaseLogin(database.admin) });
  // The key tells two orchestrators apart that know an application of one name at one server.
  const owner = `${publicKeyOf(signingKey).x}/${application}`;
  const prefix = `baton-${createHash("sha256").update(owner).digest("hex").slice(0, 12)}-`;
  const roleOf = ({ placement, epoch }: KeyHolder): string => `${prefix}${placement}-${epoch}`;
  const loginOf = (holder: KeyHolder): DatabaseLogin => {
    const user = roleOf(holder);
    return { user, password: deriveSecret(signingKey, `baton placement role ${user}`) };
  };
  return {
    admin,
    roleOf,
    tryLogin: (holder) => createPostgresLogin({ door, login: loginOf(holder) }),
    async issue(holder) {
      const login = loginOf(holder);
      const { group } = database;
      await shutOutOlder({ admin, prefix, epoch: holder.epoch, deadlineMs: shutOutMs });
      await admin.issue({ role: login.user, password: login.password, group, timeoutMs: requestMs });
      return environmentOf(database, login);
    },
  };
}

export function doorOf({ url, ca }: DatabaseManifest): PostgresDoor {
  const { hostname, port, pathname } = new URL(url);
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? usualPort : Number(port),
    database: pathname.slice(1),
    ca,
  };
}

/** As PostgreSQL's own tools read it, and as many frameworks do. */
export function environmentOf(
  database: DatabaseManifest,
  { user, password }: DatabaseLogin,
): Readonly<Record<string, string>> {
  const door = doorOf(database);
  const url = new URL(database.url);
  Object.assign(url, { username: user, password, port: String(door.port) });
  // Who does not look at the certificates is refused nothing, so it is said wherever it is read.
  if (door.ca !== undefined) url.searchParams.set("sslmode", "verify-full");
  return {
    DATABASE_URL: url.href,
    PGHOST: door.host,
    PGPORT: String(door.port),
    PGDATABASE: door.database,
    PGUSER: user,
    PGPASSWORD: password,
    ...(door.ca !== undefined && { PGSSLMODE: "verify-full", BATON_DATABASE_CA: door.ca }),
  };
}
