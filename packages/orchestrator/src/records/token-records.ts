import { AppError, type NewToken, type Role, type TokenRequest, type TokenView } from "@baton/protocol";
import { type ColumnType, type Kysely, sql } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";
import { digestOf, newToken } from "./token-digest.ts";

/** The generated admin token's: it is a file beside the orchestrator, never a row. */
export const bootstrapName = "bootstrap";

/** Who asks: the name of a token, and what it may. */
export interface Caller {
  readonly name: string;
  readonly role: Role;
}

/** The table of `0006-access.sql`. */
type TokenTable = {
  tokens: {
    name: string;
    role: Role;
    digest: Buffer;
    created_by: string;
    created_at: ColumnType<Date, never, never>;
    expires_at: ColumnType<Date | null, Date | null, never>;
  };
};

const shown = [
  "name",
  "role",
  "created_by",
  "created_at",
  "expires_at",
  // By the database's clock, which all replicas share.
  sql<boolean>`coalesce(expires_at <= now(), false)`.as("expired"),
] as const;

/** Tokens by name. Nothing of them is remembered outside the database: what is revoked or expired is so everywhere from that moment on. */
export class TokenRecords {
  readonly #database: Kysely<Schema & TokenTable>;

  constructor(database: Database) {
    this.#database = database.withTables<TokenTable>();
  }

  /** @returns the token itself, which nobody can be told again. @throws `in-use` for a name that is taken, also by one that has expired. */
  async create({ name, role, expiresInS }: TokenRequest, createdBy: string): Promise<NewToken> {
    const token = newToken();
    const row =
      name === bootstrapName
        ? undefined
        : await this.#database
            .insertInto("tokens")
            .values({
              name,
              role,
              digest: digestOf(token),
              created_by: createdBy,
              expires_at: expiresInS === undefined ? null : sql<Date>`now() + ${expiresInS} * interval '1 s'`,
            })
            .onConflict((conflict) => conflict.column("name").doNothing())
            .returning(shown)
            .executeTakeFirst();
    if (row !== undefined) return { ...viewOf(row), token };
    throw new AppError(
      "in-use",
      `cannot create token "${name}": there is one of this name; choose another name, or revoke it first`,
    );
  }

  /** The generated one first, then the others by name. */
  async list(): Promise<readonly TokenView[]> {
    const rows = await this.#database.selectFrom("tokens").select(shown).orderBy("name").execute();
    return [bootstrap, ...rows.map(viewOf)];
  }

  /** @throws `unknown-token`; `in-use` for the generated one. */
  async revoke(name: string): Promise<void> {
    if (name === bootstrapName)
      throw new AppError(
        "in-use",
        `cannot revoke token "${name}": it is the file admin-token in the orchestrator's state directory; remove that file and start the orchestrator again`,
      );
    const revoked = await this.#database
      .deleteFrom("tokens")
      .where("name", "=", name)
      .returning("name")
      .executeTakeFirst();
    if (revoked === undefined)
      throw new AppError("unknown-token", "cannot revoke the token: there is none of this name");
  }

  /** Who has this token; null where nobody has, or had it too long. */
  async holder(token: string): Promise<Caller | null> {
    const row = await this.#database
      .selectFrom("tokens")
      .select(["name", "role"])
      .where("digest", "=", digestOf(token))
      .where((where) =>
        where.or([where("expires_at", "is", null), where("expires_at", ">", sql<Date>`now()`)]),
      )
      .executeTakeFirst();
    return row ?? null;
  }
}

const bootstrap: TokenView = {
  name: bootstrapName,
  role: "admin",
  createdBy: null,
  createdAt: null,
  expiresAt: null,
  expired: false,
};

function viewOf(row: {
  readonly name: string;
  readonly role: Role;
  readonly created_by: string;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly expired: boolean;
}): TokenView {
  const { name, role, created_by: createdBy, created_at, expires_at, expired } = row;
  return {
    name,
    role,
    createdBy,
    createdAt: created_at.toISOString(),
    expiresAt: expires_at?.toISOString() ?? null,
    expired,
  };
}
