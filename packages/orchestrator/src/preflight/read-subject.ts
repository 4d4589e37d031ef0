import type { RecordedFacts, RequestFacts } from "@baton/migration";
import {
  type ApplicationManifest,
  type ErrorCode,
  type OperationRequest,
  type PublicKey,
  isAppError,
  usualStopPolicy,
} from "@baton/protocol";
import { AdoptionRecords } from "../records/adoption-records.ts";
import type { Catalog } from "../records/catalog.ts";
import type { Database } from "../records/database.ts";
import { lockingStates } from "../records/operation-states.ts";

/** Whose operation it is, and all that the records say about it. */
export interface Subject {
  readonly request: RequestFacts;
  /** The application was stopped before. */
  readonly ofStopped: boolean;
  readonly records: RecordedFacts;
  readonly source: {
    readonly placement: string;
    readonly cluster: string;
    readonly publicKey: PublicKey | null;
    readonly expected: "serving" | "resting";
  } | null;
}

export interface SubjectParams {
  readonly database: Database;
  readonly catalog: Catalog;
  readonly ownerOf: (application: string) => string;
}

/** Of an operation that somebody thinks of. @throws `unknown-application`, `unknown-storage`. */
export async function readAsked(params: SubjectParams, asked: OperationRequest): Promise<Subject> {
  const { catalog, database } = params;
  const declared = await catalog.application(asked.application);
  const { placement, stopped } = await database
    .selectFrom("applications")
    .select(["placement", "stopped"])
    .where("name", "=", asked.application)
    .executeTakeFirstOrThrow();
  const isStopping = asked.kind !== "start" && placement !== null && !stopped;
  const strategy = "strategy" in asked ? asked.strategy : undefined;
  return readSubject(params, {
    request: {
      kind: asked.kind,
      application: asked.application,
      to: "to" in asked ? asked.to : null,
      strategy: isStopping ? (strategy ?? (declared.stop ?? usualStopPolicy).strategy) : null,
      cold: asked.kind === "migrate" && asked.cold === true,
      plan: asked.plan ?? null,
    },
    ofStopped: stopped,
    operation: null,
    placement,
    deployment: null,
  });
}

/** Of one that is on record. */
export async function readBegun(params: SubjectParams, operation: string): Promise<Subject> {
  const row = await params.database
    .selectFrom("operations")
    .selectAll()
    .where("id", "=", operation)
    .executeTakeFirstOrThrow();
  const { kind, application, strategy, cold, plan } = row;
  const isMove = kind === "deploy" || kind === "migrate";
  return readSubject(params, {
    request: { kind, application, to: isMove ? row.to_cluster : null, strategy, cold, plan },
    ofStopped: row.of_stopped,
    operation,
    // A start takes up the placement that is there.
    placement: isMove ? row.source : (row.source ?? row.target),
    deployment: row.deployment,
  });
}

async function readSubject(
  { catalog, database, ownerOf }: SubjectParams,
  known: {
    readonly request: RequestFacts;
    readonly ofStopped: boolean;
    /** That does not count as another one. */
    readonly operation: string | null;
    readonly placement: string | null;
    /** Null: that of the placement, or what is declared now. */
    readonly deployment: string | null;
  },
): Promise<Subject> {
  const { request, ofStopped } = known;
  const { application } = request;
  const [row, source, declared, last, other, adoptedEpoch] = await Promise.all([
    database
      .selectFrom("applications")
      .select(["epoch", "highest_epoch", "halted_reason"])
      .where("name", "=", application)
      .executeTakeFirstOrThrow(),
    known.placement === null ? undefined : findPlacement(database, known.placement),
    catalog.application(application),
    readLast(database, application),
    findOther(database, application, known.operation),
    new AdoptionRecords(database).epochOf(application),
  ]);
  const deployment = known.deployment ?? source?.deployment ?? null;
  const { manifest, storage, ...rest } =
    deployment === null ? await asDeclared(catalog, declared) : await findDeployment(database, deployment);
  const [storageNow, databaseNow] = await Promise.all([
    ifKnown("unknown-storage", catalog.storage(storage.name)),
    rest.database === null ? null : ifKnown("unknown-database", catalog.database(rest.database.name)),
  ]);
  const isResting = request.kind === "start" || (request.kind === "delete" && ofStopped);
  return {
    request,
    ofStopped,
    records: {
      owner: ownerOf(application),
      epoch: row.epoch,
      highestEpoch: row.highest_epoch,
      adoptedEpoch,
      haltedReason: row.halted_reason,
      otherOperation: other,
      manifest,
      storage,
      database: rest.database,
      declared: { manifest: declared, storage: storageNow, database: databaseNow },
      last,
    },
    source:
      source === undefined
        ? null
        : {
            placement: source.id,
            cluster: source.cluster,
            publicKey: source.public_key,
            expected: isResting ? "resting" : "serving",
          },
  };
}

const findPlacement = (database: Database, id: string) =>
  database
    .selectFrom("placements")
    .select(["id", "cluster", "deployment", "public_key"])
    .where("id", "=", id)
    .executeTakeFirstOrThrow();

const findDeployment = (database: Database, id: string) =>
  database
    .selectFrom("deployments")
    .select(["manifest", "storage", "database"])
    .where("id", "=", id)
    .executeTakeFirstOrThrow();

/** What a first deployment would be made from. @throws `unknown-storage`, `unknown-database`. */
async function asDeclared(catalog: Catalog, manifest: ApplicationManifest) {
  const [storage, database] = await Promise.all([
    catalog.storage(manifest.storage),
    manifest.database === undefined ? null : catalog.database(manifest.database),
  ]);
  return { manifest, storage, database };
}

/** Null: it is no longer declared. */
async function ifKnown<T>(code: ErrorCode, asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if (isAppError(error) && error.code === code) return null;
    throw error;
  }
}

/** What the newest committed operations of the application took. */
async function readLast(database: Database, application: string): Promise<RecordedFacts["last"]> {
  const rows = await database
    .selectFrom("operations")
    .select(["kind", "ledger"])
    .where("application", "=", application)
    .where("state", "=", "committed")
    .orderBy("created_at", "desc")
    .limit(20)
    .execute();
  const ledgers = rows.map(({ ledger }) => ledger);
  const downtimes = rows.flatMap(({ kind, ledger: { stopSentAt, committedAt } }) =>
    kind === "migrate" && stopSentAt !== null && committedAt !== null
      ? [Date.parse(committedAt) - Date.parse(stopSentAt)]
      : [],
  );
  return {
    stopMs: ledgers.find(({ applicationStopMs }) => applicationStopMs !== null)?.applicationStopMs ?? null,
    startMs:
      ledgers.find(({ applicationStartMs }) => applicationStartMs !== null)?.applicationStartMs ?? null,
    downtimeMs: downtimes[0] ?? null,
  };
}

/** In words. */
async function findOther(
  database: Database,
  application: string,
  own: string | null,
): Promise<string | null> {
  const row = await database
    .selectFrom("operations")
    .select(["id", "kind", "state", "reason"])
    .where("application", "=", application)
    .where("state", "in", lockingStates)
    .where("id", "is distinct from", own)
    .executeTakeFirst();
  if (row === undefined) return null;
  const { id, kind, state, reason } = row;
  return `${kind} ${id} is ${state === "halted" ? `halted: ${reason}` : "still open"}`;
}
