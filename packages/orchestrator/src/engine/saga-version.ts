import { createHash } from "node:crypto";
import { sql } from "kysely";
import type { Database } from "../records/database.ts";
import { type SagaRow, isKnown, knownSagas } from "../records/saga-tables.ts";

/**
 * DBOS gives a workflow that waits only to replicas of the version that is written on it. Ours says which tables of steps a replica knows; DBOS's
 * default, a hash of the source, would leave open operations behind at every upgrade.
 */
export const sagaVersion = `sagas-${createHash("sha256").update(knownSagas.join()).digest("hex").slice(0, 16)}`;

/** How long one that waits is left to the replicas of its version: they ask once a second. */
const queuedMs = 5_000;

/**
 * Makes workflows of other versions ours where we know their tables: of a dead executor, under whose lock the caller is, or of nobody when they have
 * waited for long. The others stay as they are, for a version that knows theirs.
 */
export async function claimWorkflows(database: Database, executor: string | null): Promise<void> {
  const left =
    executor === null
      ? sql`status = 'ENQUEUED' and updated_at < extract(epoch from now()) * 1000 - ${queuedMs}`
      : sql`status = 'PENDING' and executor_id = ${executor}`;
  const { rows } = await sql<SagaRow & { readonly workflow_uuid: string }>`
    select workflow_uuid, id, kind, cold, of_stopped, saga from dbos.workflow_status
    join operations on id = split_part(workflow_uuid, '.', 1)
    where application_version is distinct from ${sagaVersion} and ${left}`.execute(database);
  const known = rows.filter(isKnown).map(({ workflow_uuid: workflow }) => workflow);
  if (known.length === 0) return;
  await sql`
    update dbos.workflow_status set application_version = ${sagaVersion}
    where workflow_uuid = any(${known}) and ${left}`.execute(database);
}
