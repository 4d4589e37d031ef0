import {
  AppError,
  type OperationRequest,
  newDeploymentId,
  newOperationId,
  newPlacementId,
  usualStopPolicy,
} from "@baton/protocol";
import type { Transaction } from "kysely";
import type { Catalog } from "./catalog.ts";
import type { Database } from "./database.ts";
import { emptyLedger } from "./operation-records.ts";
import { lockingStates } from "./operation-states.ts";
import { tableOf } from "./saga-tables.ts";
import type { Schema } from "./schema.ts";

/**
 * Writes an operation with everything it will need, in one transaction; the insert takes the application's lock.
 *
 * @throws `unknown-application`, `unknown-cluster`, `same-cluster`, `already-deployed`, `not-deployed`, `application-stopped`, `operation-open`,
 * `operation-halted`.
 */
export async function insertOperation(
  database: Database,
  catalog: Catalog,
  request: OperationRequest,
  startedBy: string,
): Promise<string> {
  const manifest = await catalog.application(request.application);
  if ("to" in request) await catalog.cluster(request.to);
  const storage = await catalog.storage(manifest.storage);
  const at = manifest.database === undefined ? null : await catalog.database(manifest.database);
  const id = newOperationId();
  await database.transaction().execute(async (transaction) => {
    const application = await transaction
      .selectFrom("applications")
      .select(["epoch", "highest_epoch", "halted_reason", "placement", "stopped"])
      .where("name", "=", request.application)
      .forUpdate()
      .executeTakeFirstOrThrow();
    await assertUnlocked(transaction, request, application.halted_reason);
    const serving = await transaction
      .selectFrom("placements")
      .select(["id", "cluster", "deployment"])
      .where("id", "=", application.placement)
      .executeTakeFirst();
    assertPossible(request, serving?.cluster, application.stopped);

    const { source, target } = placesOf(request, serving);
    const table = tableOf(request, application.stopped);
    const deploymentId = serving?.deployment ?? newDeploymentId();
    if (serving === undefined)
      await transaction
        .insertInto("deployments")
        .values({
          id: deploymentId,
          application: request.application,
          manifest: JSON.stringify(manifest),
          storage: JSON.stringify(storage),
          database: at === null ? null : JSON.stringify(at),
        })
        .execute();
    if ("to" in request && target !== null)
      await transaction
        .insertInto("placements")
        .values({ ...target, application: request.application, deployment: deploymentId })
        .execute();
    await transaction
      .insertInto("operations")
      .values({
        id,
        kind: request.kind,
        saga: table.name,
        application: request.application,
        deployment: deploymentId,
        source: source?.id ?? null,
        target: target?.id ?? null,
        from_cluster: source?.cluster ?? null,
        to_cluster: target?.cluster ?? null,
        of_stopped: application.stopped,
        known_epoch: application.highest_epoch,
        epoch_before: serving === undefined ? null : application.epoch,
        strategy:
          source === null || application.stopped
            ? null
            : (("strategy" in request ? request.strategy : undefined) ??
              (manifest.stop ?? usualStopPolicy).strategy),
        cold: request.kind === "migrate" && request.cold === true,
        plan: request.plan ?? null,
        ledger: JSON.stringify(emptyLedger),
        started_by: startedBy,
      })
      .execute();
    await transaction
      .insertInto("steps")
      .values(
        table.steps.map(({ name, pivot }, position) => ({
          operation: id,
          position,
          name,
          pivot,
        })),
      )
      .execute();
  });
  return id;
}

interface Place {
  readonly id: string;
  readonly cluster: string;
}

/** Which placement the operation ends, and which it starts: a new one, or the very one that is there. */
function placesOf(
  request: OperationRequest,
  present: Place | undefined,
): { readonly source: Place | null; readonly target: Place | null } {
  if ("to" in request)
    return { source: present ?? null, target: { id: newPlacementId(), cluster: request.to } };
  return request.kind === "start"
    ? { source: null, target: present ?? null }
    : { source: present ?? null, target: null };
}

/** @param on where the application is now, running or stopped. */
function assertPossible(request: OperationRequest, on: string | undefined, isStopped: boolean): void {
  const { kind, application } = request;
  const cannot = `cannot ${kind} ${application}`;
  if (on === undefined) {
    if (kind === "deploy") return;
    const first = kind === "migrate" ? "; deploy it first" : "";
    throw new AppError("not-deployed", `${cannot}: it is not deployed${first}`);
  }
  if (isStopped && kind === "stop")
    throw new AppError("application-stopped", `${cannot}: it is stopped on ${on} already`);
  if (isStopped && "to" in request)
    throw new AppError("application-stopped", `${cannot}: it is stopped on ${on}; start it first`);
  if (kind === "deploy")
    throw new AppError("already-deployed", `${cannot}: it runs on ${on}; migrate it instead`);
  if (kind === "migrate" && on === request.to)
    throw new AppError("same-cluster", `${cannot} to ${on}: it is there already; choose another cluster`);
}

async function assertUnlocked(
  transaction: Transaction<Schema>,
  { kind, application }: OperationRequest,
  haltedReason: string | null,
): Promise<void> {
  if (haltedReason !== null)
    throw new AppError("operation-halted", `cannot ${kind} ${application}: ${haltedReason}`);
  const other = await transaction
    .selectFrom("operations")
    .select(["id", "kind", "state", "reason"])
    .where("application", "=", application)
    .where("state", "in", lockingStates)
    .executeTakeFirst();
  if (other === undefined) return;
  if (other.state === "halted")
    throw new AppError(
      "operation-halted",
      `cannot ${kind} ${application}: ${other.kind} ${other.id} is halted: ${String(other.reason)}`,
    );
  throw new AppError(
    "operation-open",
    `cannot ${kind} ${application}: ${other.kind} ${other.id} is still open; wait for its end`,
  );
}
