import { sql } from "kysely";
import type { Database } from "./database.ts";

/** Upper bounds in seconds. */
export const durationBounds = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800] as const;

/** How often something took at most each bound, in its order; `count` is of all. */
export interface Durations {
  readonly labels: Readonly<Record<string, string>>;
  readonly atMost: readonly number[];
  readonly count: number;
  readonly sumSeconds: number;
}

export interface OperationMetrics {
  readonly operations: readonly { readonly kind: string; readonly state: string; readonly count: number }[];
  /** Null where there is none. */
  readonly oldestSeconds: { readonly open: number | null; readonly halted: number | null };
  readonly steps: readonly Durations[];
  /** Of committed migrations, from the stop to the target's readiness. */
  readonly downtimes: readonly Durations[];
}

/** Counted in the records, so every replica says the same, also after a restart. */
export async function readOperationMetrics(database: Database): Promise<OperationMetrics> {
  const [operations, oldest, steps, downtimes] = await Promise.all([
    sql<{ kind: string; state: string; count: number }>`
      select kind, state, count(*)::int as count from operations group by kind, state order by kind, state`.execute(
      database,
    ),
    sql<{ open: number | null; halted: number | null }>`
      select extract(epoch from max(now() - created_at) filter (where state in ('open', 'rolling-back', 'past-pivot')))::float as open,
             extract(epoch from max(now() - created_at) filter (where state = 'halted'))::float as halted
      from operations`.execute(database),
    durations(
      database,
      `select o.kind, s.name as step, s.ms / 1000 as seconds from steps s join operations o on o.id = s.operation where s.ms is not null`,
      ["kind", "step"],
    ),
    durations(
      database,
      `select kind, extract(epoch from (ledger ->> 'readyAt')::timestamptz - (ledger ->> 'stopSentAt')::timestamptz) as seconds
       from operations where state = 'committed' and kind = 'migrate'`,
      ["kind"],
    ),
  ]);
  return {
    operations: operations.rows,
    oldestSeconds: oldest.rows[0] ?? { open: null, halted: null },
    steps,
    downtimes,
  };
}

async function durations(
  database: Database,
  observed: string,
  labels: readonly string[],
): Promise<readonly Durations[]> {
  const counts = durationBounds.map(
    (bound, at) => `count(*) filter (where seconds <= ${bound})::int as b${at}`,
  );
  const { rows } = await sql
    .raw<Record<string, string | number>>(
      `select ${labels.join(", ")}, ${counts.join(", ")}, count(*)::int as count, sum(seconds)::float as sum
       from (${observed}) observed where seconds is not null group by ${labels.join(", ")} order by ${labels.join(", ")}`,
    )
    .execute(database);
  return rows.map((row) => ({
    labels: Object.fromEntries(labels.map((label) => [label, String(row[label])])),
    atMost: durationBounds.map((_, at) => Number(row[`b${at}`])),
    count: Number(row["count"]),
    sumSeconds: Number(row["sum"]),
  }));
}
