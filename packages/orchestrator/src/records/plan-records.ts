import type { PlanParts } from "@baton/migration";
import { type ColumnType, type Kysely, sql } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";

/** The table of `0011-plans.sql`. */
type PlanTable = {
  plans: {
    hash: string;
    parts: ColumnType<PlanParts, string, never>;
    made_at: ColumnType<Date, undefined, Date>;
  };
};

const keptDays = 7;

/** The parts of plans by their hash, for some days. */
export class PlanRecords {
  readonly #database: Kysely<Schema & PlanTable>;

  constructor(database: Database) {
    this.#database = database.withTables<PlanTable>();
  }

  async keep(hash: string, parts: PlanParts): Promise<void> {
    await this.#database
      .insertInto("plans")
      .values({ hash, parts: JSON.stringify(parts) })
      .onConflict((conflict) => conflict.column("hash").doUpdateSet({ made_at: sql<Date>`now()` }))
      .execute();
    await this.#database
      .deleteFrom("plans")
      .where("made_at", "<", sql<Date>`now() - ${keptDays}::int * interval '1 day'`)
      .execute();
  }

  async find(hash: string): Promise<PlanParts | null> {
    const row = await this.#database
      .selectFrom("plans")
      .select("parts")
      .where("hash", "=", hash)
      .executeTakeFirst();
    return row?.parts ?? null;
  }
}
