import { AppError, type TrafficPluginManifest, type TrafficView } from "@baton/protocol";
import type { ServedRoute, TrafficChange, TrafficState } from "@baton/traffic";
import { type ColumnType, type Generated, type Kysely, type Selectable, sql } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";

type OptionalMoment = ColumnType<Date | null, Date | undefined, Date | null>;

/** The table of `0016-traffic.sql`. */
type TrafficTable = {
  traffic_receivers: {
    application: string;
    target: string;
    plugin: ColumnType<TrafficPluginManifest, string, string>;
    /** The driver reads a bigint as text. */
    revision: ColumnType<string, number, number>;
    epoch: number;
    route: ColumnType<ServedRoute | null, string | null, string | null>;
    wanted_at: ColumnType<Date, Date | undefined, Date>;
    is_last: boolean;
    told_revision: ColumnType<string, number | undefined, number>;
    told_epoch: number | null;
    told_route: ColumnType<ServedRoute | null, string | null | undefined, string | null>;
    told_at: OptionalMoment;
    tries: Generated<number>;
    next_try_at: ColumnType<Date, Date | undefined, Date>;
    error: string | null;
    error_at: OptionalMoment;
    claim: Generated<number>;
    claimed_until: OptionalMoment;
  };
};
type Row = Selectable<TrafficTable["traffic_receivers"]>;

/** Longer than any try and any pause between two: what lies further ahead comes of a clock that was set back since. */
const longestMs = 120_000;
const isAhead = (column: "next_try_at" | "claimed_until") =>
  sql`coalesce(${sql.ref(column)} between now() and now() + ${longestMs}::float8 * interval '1 ms', false)`;
const isWaiting = sql<boolean>`told_revision <> revision and not ${isAhead("next_try_at")} and not ${isAhead("claimed_until")}`;
const inMs = (ms: number) => sql<Date>`now() + ${ms}::float8 * interval '1 ms'`;
/** In ms, as terms are in seconds: above all that receivers may have heard from a database that was lost. */
const nextRevision = (seen: number | null) =>
  sql<number>`greatest(${(seen ?? 0) + 1}::bigint, (extract(epoch from now() - '2026-01-01Z'::timestamptz) * 1000)::bigint)`;

/** Somebody who is to be told something, by whoever has the claim. */
export interface ClaimedTelling {
  readonly application: string;
  readonly target: string;
  readonly plugin: TrafficPluginManifest;
  readonly claim: number;
  readonly revision: number;
  readonly epoch: number;
  readonly route: ServedRoute | null;
  readonly previous: ServedRoute | null;
  readonly isLast: boolean;
  /** Of this revision, with the one that begins. */
  readonly tries: number;
}

export interface DueReceiver {
  readonly application: string;
  readonly target: string;
  readonly timeoutMs: number;
}

/** Who shall know what of the applications' routes, and who knows it. */
export class TrafficRecords {
  readonly #database: Kysely<Schema & TrafficTable>;

  constructor(database: Database) {
    this.#database = database.withTables<TrafficTable>();
  }

  /** Every application that somebody is or was to be told of. One statement, and so one look: a receiver's revision is of this route or of an older one. */
  async look(): Promise<readonly (TrafficState & { readonly application: string })[]> {
    const { rows } = await sql<{
      application: string;
      epoch: number;
      route: ServedRoute | null;
      plugins: readonly TrafficPluginManifest[];
      receivers: readonly Pick<
        Row,
        "target" | "plugin" | "epoch" | "route" | "is_last" | "revision" | "told_revision"
      >[];
    }>`
      select a.name as application, a.epoch,
        case when not a.stopped and p.application_url is not null then
          jsonb_build_object('placement', p.id, 'cluster', p.cluster, 'url', p.application_url) end as route,
        coalesce(a.manifest -> 'traffic', '[]') as plugins,
        coalesce((select jsonb_agg(to_jsonb(r)) from traffic_receivers r where r.application = a.name), '[]') as receivers
      from applications a left join placements p on p.id = a.placement
      where a.manifest ? 'traffic' or exists (select from traffic_receivers r where r.application = a.name)`.execute(
      this.#database,
    );
    return rows.map(({ receivers, ...row }) => ({
      ...row,
      receivers: receivers.map(({ target, plugin, epoch, route, is_last, revision, told_revision }) => ({
        target,
        plugin,
        epoch,
        route,
        isLast: is_last,
        revision: Number(revision),
        toldRevision: Number(told_revision),
      })),
    }));
  }

  /** Writes it down, unless somebody changed the same since it was looked at. */
  async change(application: string, change: TrafficChange): Promise<void> {
    const { target } = change;
    if (change.kind === "forget") {
      await this.#database
        .deleteFrom("traffic_receivers")
        .where("application", "=", application)
        .where("target", "=", target)
        .where("revision", "=", String(change.seen))
        .whereRef("told_revision", "=", "revision")
        .execute();
      return;
    }
    const { plugin, epoch, route, isLast, seen } = change;
    const wanted = {
      plugin: JSON.stringify(plugin),
      revision: nextRevision(seen),
      epoch,
      route: route === null ? null : JSON.stringify(route),
      is_last: isLast,
    };
    if (seen === null)
      await this.#database
        .insertInto("traffic_receivers")
        .values({ application, target, ...wanted })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    else
      await this.#database
        .updateTable("traffic_receivers")
        .set({ ...wanted, wanted_at: sql<Date>`now()`, tries: 0, next_try_at: sql<Date>`now()` })
        .where("application", "=", application)
        .where("target", "=", target)
        .where("revision", "=", String(seen))
        .execute();
  }

  /** Who does not know yet what he shall know, and whom nobody is telling. */
  async due(limit: number): Promise<readonly DueReceiver[]> {
    const rows = await this.#database
      .selectFrom("traffic_receivers")
      .select(["application", "target", "plugin"])
      .where(isWaiting)
      .orderBy("next_try_at")
      .limit(limit)
      .execute();
    return rows.map(({ application, target, plugin: { timeoutMs } }) => ({ application, target, timeoutMs }));
  }

  /** @returns what to tell, when nobody else does for so long; null: somebody does, or it is told. */
  async claim(
    { application, target }: Pick<DueReceiver, "application" | "target">,
    forMs: number,
  ): Promise<ClaimedTelling | null> {
    const row = await this.#database
      .updateTable("traffic_receivers")
      .set({
        claim: sql<number>`claim + 1`,
        tries: sql<number>`tries + 1`,
        claimed_until: inMs(forMs),
      })
      .where("application", "=", application)
      .where("target", "=", target)
      .where(isWaiting)
      .returningAll()
      .executeTakeFirst();
    if (row === undefined) return null;
    const { plugin, claim, epoch, route, tries } = row;
    return {
      application,
      target,
      plugin,
      claim,
      revision: Number(row.revision),
      epoch,
      route,
      previous: row.told_route,
      isLast: row.is_last,
      tries,
    };
  }

  /** It is confirmed. What was confirmed since stays, where that is newer. */
  async confirm({ application, target, claim, revision, epoch, route }: ClaimedTelling): Promise<void> {
    await this.#database
      .updateTable("traffic_receivers")
      .set({
        told_revision: revision,
        told_epoch: epoch,
        told_route: route === null ? null : JSON.stringify(route),
        told_at: sql<Date>`now()`,
        tries: sql<number>`case when revision = ${revision} then 0 else tries end`,
        error: null,
        error_at: null,
      })
      .where("application", "=", application)
      .where("target", "=", target)
      .where("told_revision", "<", String(revision))
      .execute();
    await this.#release({ application, target, claim }, {});
  }

  /** It is tried again after a pause; at once, where it is another thing by then. */
  async fail(telling: ClaimedTelling, detail: string, pauseMs: number): Promise<void> {
    await this.#release(telling, {
      error: detail,
      error_at: sql<Date>`now()`,
      next_try_at: sql<Date>`case when revision = ${telling.revision} then ${inMs(pauseMs)} else next_try_at end`,
    });
  }

  /** It was called off, and is anybody's. */
  async giveUp(telling: ClaimedTelling): Promise<void> {
    await this.#release(telling, { tries: sql<number>`greatest(tries - 1, 0)` });
  }

  async view(application: string): Promise<readonly TrafficView[]> {
    const known = await this.#database
      .selectFrom("applications")
      .select("name")
      .where("name", "=", application)
      .executeTakeFirst();
    if (known === undefined)
      throw new AppError(
        "unknown-application",
        `cannot show who is told of application "${application}": there is none of this name`,
      );
    const rows = await this.#database
      .selectFrom("traffic_receivers")
      .selectAll()
      .where("application", "=", application)
      .orderBy("target")
      .execute();
    return rows.map((row) => ({
      target: row.target,
      removed: row.is_last,
      wanted: { epoch: row.epoch, ...placeOf(row.route), since: row.wanted_at.toISOString() },
      told:
        row.told_at === null
          ? null
          : { epoch: row.told_epoch ?? 0, ...placeOf(row.told_route), at: row.told_at.toISOString() },
      settled: row.told_revision === row.revision,
      tries: row.tries,
      error:
        row.error === null || row.error_at === null
          ? null
          : { detail: row.error, at: row.error_at.toISOString() },
    }));
  }

  async #release(
    { application, target, claim }: Pick<ClaimedTelling, "application" | "target" | "claim">,
    also: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    await this.#database
      .updateTable("traffic_receivers")
      .set({ ...also, claimed_until: null })
      .where("application", "=", application)
      .where("target", "=", target)
      .where("claim", "=", claim)
      .execute();
  }
}

const placeOf = (route: ServedRoute | null) => ({ cluster: route?.cluster ?? null, url: route?.url ?? null });
