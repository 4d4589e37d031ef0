import {
  AppError,
  type OperationRequest,
  newDeploymentId,
  newOperationId,
  newPlacementId,
  usualStopPolicy,
} from "@baton/protocol";
import { type Saga, deploy, migrate, migrateCold } from "@baton/migration";
import type { Transaction } from "kysely";
import type { Catalog } from "./catalog.ts";
import type { Database } from "./database.ts";
import { emptyLedger, lockingStates } from "./operation-records.ts";
import type { Schema } from "./schema.ts";

type Table = Pick<Saga<never, never>, "name" | "steps">;

export const sagas: Readonly<Record<OperationRequest["kind"], Table>> = { deploy, migrate };

export const migrateSaga = (cold: boolean): typeof migrate => (cold ? migrateCold : migrate);

export const tableOf = (of: {
  readonly kind: OperationRequest["kind"];
  readonly cold?: boolean | undefined;
}): Table => (of.kind === "migrate" ? migrateSaga(of.cold === true) : sagas[of.kind]);

/**
 * Writes an operation with everything it will need, in one transaction; the insert takes the application's lock.
 *
 * @throws `unknown-application`, `unknown-cluster`, `same-cluster`, `already-deployed`, `not-deployed`, `operation-open`, `operation-halted`.
 */
export async function insertOperation(
  database: Database,
  catalog: Catalog,
  request: OperationRequest,
  startedBy: string,
): Promise<string> {
  const manifest = await catalog.application(request.application);
  await catalog.cluster(request.to);
  const storage = await catalog.storage(manifest.storage);
  const at = manifest.database === undefined ? null : await catalog.database(manifest.database);
  const id = newOperationId();
  await database.transaction().execute(async (transaction) => {
    const application = await transaction
      .selectFrom("applications")
      .select(["epoch", "highest_epoch", "halted_reason", "placement"])
      .where("name", "=", request.application)
      .forUpdate()
      .executeTakeFirstOrThrow();
    await assertUnlocked(transaction, request, application.halted_reason);
    const serving = await transaction
      .selectFrom("placements")
      .select(["id", "cluster", "deployment"])
      .where("id", "=", application.placement)
      .executeTakeFirst();
    assertPossible(request, serving?.cluster);

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
    const target = newPlacementId();
    await transaction
      .insertInto("placements")
      .values({ id: target, application: request.application, deployment: deploymentId, cluster: request.to })
      .execute();
    await transaction
      .insertInto("operations")
      .values({
        id,
        kind: request.kind,
        application: request.application,
        deployment: deploymentId,
        source: serving?.id ?? null,
        target,
        from_cluster: serving?.cluster ?? null,
        to_cluster: request.to,
        known_epoch: application.highest_epoch,
        epoch_before: serving === undefined ? null : application.epoch,
        strategy:
          request.kind === "migrate"
            ? (request.strategy ?? (manifest.stop ?? usualStopPolicy).strategy)
            : null,
        cold: request.kind === "migrate" && request.cold === true,
        plan: request.plan ?? null,
        ledger: JSON.stringify(emptyLedger),
        started_by: startedBy,
      })
      .execute();
    await transaction
      .insertInto("steps")
      .values(
        tableOf(request).steps.map(({ name, pivot }, position) => ({
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

/** @param on where the application serves now. */
function assertPossible({ kind, application, to }: OperationRequest, on: string | undefined): void {
  if (kind === "deploy" && on !== undefined)
    throw new AppError(
      "already-deployed",
      `cannot deploy ${application}: it runs on ${on}; migrate it instead`,
    );
  if (kind === "migrate" && on === undefined)
    throw new AppError("not-deployed", `cannot migrate ${application}: it is not deployed; deploy it first`);
  if (kind === "migrate" && on === to)
    throw new AppError(
      "same-cluster",
      `cannot migrate ${application} to ${to}: it is there already; choose another cluster`,
    );
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
