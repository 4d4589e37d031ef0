import type { AuditEntry, Role } from "@baton/protocol";
import type { ColumnType, Generated, Kysely } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";

type Asked = Pick<AuditEntry, "request" | "who" | "role" | "what" | "subject">;
type Outcome = NonNullable<AuditEntry["outcome"]>;
type Now = ColumnType<Date, never, never>;

/** The tables of `0006-access.sql`, which refuse every change. */
type AuditTables = {
  audit: {
    id: Generated<string>;
    request: string;
    who: string;
    role: Role;
    what: string;
    subject: string | null;
    at: Now;
  };
  audit_outcomes: { request: string; status: number; code: string | null; made: string | null; at: Now };
};

/** Who asked for which change, kept for ever: on record before anything is done, and what came of it afterwards. */
export class AuditRecords {
  readonly #database: Kysely<Schema & AuditTables>;

  constructor(database: Database) {
    this.#database = database.withTables<AuditTables>();
  }

  async begin(asked: Asked): Promise<void> {
    await this.#database.insertInto("audit").values(asked).execute();
  }

  async end(request: string, outcome: Outcome): Promise<void> {
    await this.#database
      .insertInto("audit_outcomes")
      .values({ request, ...outcome })
      .execute();
  }

  /** The newest that are older than `before`, newest first. */
  async list(page: {
    readonly limit: number;
    readonly before?: number | undefined;
  }): Promise<readonly AuditEntry[]> {
    let query = this.#database
      .selectFrom("audit")
      .leftJoin("audit_outcomes as outcome", "outcome.request", "audit.request")
      .select(["id", "audit.at", "audit.request", "who", "role", "what", "subject"])
      .select(["status", "code", "made"])
      .orderBy("id", "desc")
      .limit(page.limit);
    if (page.before !== undefined) query = query.where("id", "<", String(page.before));
    return (await query.execute()).map(({ id, at, status, code, made, ...asked }) => ({
      ...asked,
      id: Number(id),
      at: at.toISOString(),
      outcome: status === null ? null : { status, code, made },
    }));
  }
}
