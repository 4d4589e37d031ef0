import type { Cluster } from "@baton/clusters";
import { AppError, type Operation, type PrivateKey, type SignedReceipt } from "@baton/protocol";
import type { OperationService } from "./api/operations.ts";
import type { OperationEngine } from "./engine/operation-engine.ts";
import { explainOperation } from "./explain-operation.ts";
import type { PlanService } from "./plan-service.ts";
import type { Catalog } from "./records/catalog.ts";
import type { Database } from "./records/database.ts";
import { recordDecision } from "./records/decisions.ts";
import { insertOperation } from "./records/new-operation.ts";
import type { OperationRecords } from "./records/operation-records.ts";
import type { PlacementRecords } from "./records/placement-records.ts";

export function createOperationService(params: {
  readonly database: Database;
  readonly catalog: Catalog;
  readonly operations: OperationRecords;
  readonly placements: PlacementRecords;
  readonly engine: OperationEngine;
  readonly plans: Pick<PlanService, "assertCurrent">;
  readonly cluster: (name: string) => Promise<Cluster>;
  readonly signingKey: PrivateKey;
}): OperationService {
  const { database, catalog, operations, engine, plans } = params;
  const shown = async (id: string): Promise<Operation> => {
    const operation = await operations.find(id);
    if (operation === null) throw new AppError("internal", `cannot show operation ${id}: it is gone`);
    return operation;
  };
  return {
    async start(request, { name }) {
      await plans.assertCurrent(request);
      const id = await insertOperation(database, catalog, request, name);
      await engine.start(id);
      return shown(id);
    },
    find: (id, { after, waitMs }) => operations.waitForChange(id, after, waitMs),
    list: (application) => operations.list(application),
    async decide(id, request, { name }) {
      // What was written down reaches the operation also when this process dies here: see the sweep.
      await engine.decide(id, await recordDecision(database, id, request, name));
      return shown(id);
    },
    explain: (id) => explainOperation(params, id),
    receipts: (id) => receiptsOf(database, id),
  };
}

async function receiptsOf(database: Database, operation: string): Promise<readonly SignedReceipt[]> {
  const rows = await database
    .selectFrom("receipts")
    .innerJoin("placements", "placements.id", "receipts.placement")
    .select(["receipts.placement", "public_key", "jws"])
    .where("operation", "=", operation)
    .orderBy("receipts.created_at")
    .execute();
  // Each was verified by that key before it was kept.
  return rows.flatMap(({ placement, public_key: publicKey, jws }) =>
    publicKey === null ? [] : [{ placement, publicKey, jws }],
  );
}
