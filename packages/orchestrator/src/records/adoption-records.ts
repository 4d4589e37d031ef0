import type { KeyFence } from "@baton/protocol";
import { newOperationId } from "@baton/protocol";
import type { LeaseWrite } from "@baton/storage";
import { type ColumnType, type Kysely, sql } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";

/** What is written down before the lease is taken. */
export interface PlannedAdoption {
  readonly from: string;
  readonly fences: readonly KeyFence[];
  readonly write: LeaseWrite;
}

export interface OpenAdoption {
  readonly id: string;
  /** Ids of keys that were seen to be let in. */
  readonly opened: readonly string[];
  readonly planned: PlannedAdoption | null;
}

type Json<T> = ColumnType<T, string | undefined, string | null>;
/** The table of `0005-adoptions.sql`. */
type AdoptionTable = {
  adoptions: {
    id: string;
    storage: string;
    application: string;
    asked_by: string;
    reason: string;
    opened: Json<readonly string[]>;
    planned: Json<PlannedAdoption | null>;
    epoch: number | null;
    adopted_at: ColumnType<Date | null, never, Date>;
  };
};

/** Adoptions of leases: one under way for each storage and application. */
export class AdoptionRecords {
  readonly #database: Kysely<Schema & AdoptionTable>;

  constructor(database: Database) {
    this.#database = database.withTables<AdoptionTable>();
  }

  /** The one that is under way, in the name of who asked last, or a new one. */
  async begin(asked: {
    readonly storage: string;
    readonly application: string;
    readonly by: string;
    readonly reason: string;
  }): Promise<OpenAdoption> {
    const { storage, application, by, reason } = asked;
    return this.#database
      .insertInto("adoptions")
      .values({ id: newOperationId(), storage, application, asked_by: by, reason })
      .onConflict((conflict) =>
        conflict
          .columns(["storage", "application"])
          .where("adopted_at", "is", null)
          .doUpdateSet({ asked_by: by, reason }),
      )
      .returning(["id", "opened", "planned"])
      .executeTakeFirstOrThrow();
  }

  async saveOpened(id: string, opened: readonly string[]): Promise<void> {
    await this.#database
      .updateTable("adoptions")
      .set({ opened: JSON.stringify(opened) })
      .where("id", "=", id)
      .execute();
  }

  /** Null: it came to nothing, and is to be planned anew. With the application's highest epoch, which a lease must never be above. */
  async savePlan(id: string, application: string, planned: PlannedAdoption | null): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      await transaction
        .updateTable("adoptions")
        .set({ planned: planned === null ? null : JSON.stringify(planned) })
        .where("id", "=", id)
        .execute();
      if (planned !== null)
        await transaction
          .updateTable("applications")
          .set({ highest_epoch: sql<number>`greatest(highest_epoch, ${planned.write.lease.epoch})` })
          .where("name", "=", application)
          .execute();
    });
  }

  async end(id: string, epoch: number): Promise<Date> {
    const { adopted_at } = await this.#database
      .updateTable("adoptions")
      .set({ epoch, adopted_at: sql<Date>`now()` })
      .where("id", "=", id)
      .returning("adopted_at")
      .executeTakeFirstOrThrow();
    return adopted_at ?? new Date();
  }

  /** The epoch of the lease when it was adopted last; 0 when it never was. */
  async epochOf(application: string): Promise<number> {
    const row = await this.#database
      .selectFrom("adoptions")
      .select((rows) => rows.fn.max("epoch").as("epoch"))
      .where("application", "=", application)
      .where("adopted_at", "is not", null)
      .executeTakeFirst();
    return row?.epoch ?? 0;
  }
}
