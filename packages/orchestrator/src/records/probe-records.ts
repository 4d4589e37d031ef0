import type { InFlightRecord, ProbeRecord, ProbeVerdict } from "@baton/protocol";
import { type ColumnType, type Generated, type Kysely, sql } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";

type ProbeKind = "probe" | "in-flight";
export type InFlightEndpoint = InFlightRecord["endpoints"][number];

/** What was probed: a storage by name, and by the digest of what its manifest said then. */
export interface ProbeSubject {
  readonly storage: string;
  readonly subject: string;
}

export interface Failure {
  readonly code: string;
  readonly detail: string;
}

/** The table of `0002-probes.sql`. */
export type ProbeTable = {
  probes: {
    id: Generated<string>;
    storage: string;
    kind: ProbeKind;
    subject: string;
    tested_at: ColumnType<Date, never, Date>;
    thorough: boolean;
    /** By `kind`. */
    result: ColumnType<unknown, string | null, never>;
    error: ColumnType<Failure | null, string | null, never>;
  };
};

const kept = 50;

/** What storages were seen to do: each probe, each measured bound, and those that came to no verdict. */
export class ProbeRecords {
  readonly #database: Kysely<Schema & ProbeTable>;

  constructor(database: Database) {
    this.#database = database.withTables<ProbeTable>();
  }

  async addProbe(
    of: ProbeSubject & { readonly thorough: boolean },
    seen: ProbeVerdict | Failure,
  ): Promise<void> {
    await this.#add("probe", of, "code" in seen ? null : seen, "code" in seen ? seen : null);
  }

  async addInFlight(of: ProbeSubject, seen: readonly InFlightEndpoint[] | Failure): Promise<void> {
    await this.#add("in-flight", of, "code" in seen ? null : seen, "code" in seen ? seen : null);
  }

  /** The newest of this very subject. */
  async probe(of: ProbeSubject): Promise<ProbeRecord | null> {
    const row = await this.#newest("probe", of);
    if (row === null) return null;
    const { testedAt, thorough, error } = row;
    return { testedAt, thorough, verdict: row.result as ProbeVerdict | null, error };
  }

  /** The newest of this very subject. */
  async inFlight(of: ProbeSubject): Promise<InFlightRecord | null> {
    const row = await this.#newest("in-flight", of);
    if (row === null) return null;
    const endpoints = (row.result ?? []) as InFlightEndpoint[];
    const each = endpoints.map(({ ms }) => ms);
    const longest = each.reduce((a, b) => (a === null || b === null ? null : Math.max(a, b)), 0);
    return {
      testedAt: row.testedAt,
      ms: endpoints.length === 0 ? null : longest,
      endpoints,
      error: row.error,
    };
  }

  /**
   * Whether the newest thorough one (a bound is always thorough) is older than `everyMs`, or than `retryMs` where it came to no verdict. By the database's clock, which all replicas share; one
   * that is younger than now says nothing, as that clock was set back since.
   */
  async isDue(
    kind: ProbeKind,
    { storage, subject }: ProbeSubject,
    { everyMs, retryMs }: { readonly everyMs: number; readonly retryMs: number },
  ): Promise<boolean> {
    const row = await this.#database
      .selectFrom("probes")
      .select(
        sql<boolean>`tested_at between now() - case when error is null then ${everyMs}::float8 else ${retryMs}::float8 end * interval '1 ms' and now()`.as(
          "fresh",
        ),
      )
      .where("storage", "=", storage)
      .where("kind", "=", kind)
      .where("subject", "=", subject)
      // An application that moves every day is looked at every day, and not for everything.
      .where("thorough", "=", kind === "probe")
      .orderBy("id", "desc")
      .limit(1)
      .executeTakeFirst();
    return row?.fresh !== true;
  }

  async #newest(kind: ProbeKind, { storage, subject }: ProbeSubject) {
    const row = await this.#database
      .selectFrom("probes")
      .select(["tested_at", "thorough", "result", "error"])
      .where("storage", "=", storage)
      .where("kind", "=", kind)
      .where("subject", "=", subject)
      .orderBy("id", "desc")
      .limit(1)
      .executeTakeFirst();
    if (row === undefined) return null;
    const { tested_at: testedAt, thorough, result, error } = row;
    return { testedAt: testedAt.toISOString(), thorough, result, error };
  }

  async #add(
    kind: ProbeKind,
    { storage, subject, thorough = false }: ProbeSubject & { readonly thorough?: boolean },
    result: unknown,
    error: Failure | null,
  ): Promise<void> {
    await this.#database
      .insertInto("probes")
      .values({
        storage,
        kind,
        subject,
        thorough,
        result: result === null ? null : JSON.stringify(result),
        error: error === null ? null : JSON.stringify(error),
      })
      .execute();
    await this.#database
      .deleteFrom("probes")
      .where("storage", "=", storage)
      .where("kind", "=", kind)
      .where("id", "not in", (rows) =>
        rows
          .selectFrom("probes")
          .select("id")
          .where("storage", "=", storage)
          .where("kind", "=", kind)
          .orderBy("id", "desc")
          .limit(kept),
      )
      .execute();
  }
}
