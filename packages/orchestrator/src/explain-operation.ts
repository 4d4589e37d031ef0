import type { Cluster } from "@baton/clusters";
import { explain } from "@baton/migration";
import { AppError, type Explanation, type PrivateKey } from "@baton/protocol";
import { lookAtLease, lookAtPlace } from "./ports/look-at-operation.ts";
import { replicaMsOf } from "./ports/replica-port.ts";
import { sagaInput } from "./ports/saga-input.ts";
import type { Database } from "./records/database.ts";
import type { OperationRecords } from "./records/operation-records.ts";
import type { PlacementRecords } from "./records/placement-records.ts";
import { ownTable, readSagaRow } from "./records/saga-tables.ts";

/** What an operation waits for, and how its places are just now. @throws `unknown-operation`, `saga-unknown` */
export async function explainOperation(
  params: {
    readonly database: Database;
    readonly operations: OperationRecords;
    readonly placements: PlacementRecords;
    readonly cluster: (name: string) => Promise<Cluster>;
    readonly signingKey: PrivateKey;
  },
  id: string,
): Promise<Explanation> {
  const { database, operations, placements, cluster, signingKey } = params;
  const operation = await operations.find(id);
  if (operation === null)
    throw new AppError(
      "unknown-operation",
      `cannot explain the operation: there is none of this id; see "baton operation list"`,
    );
  const table = ownTable(await readSagaRow(database, id));
  const isOver = operation.state === "committed" || operation.state === "rolled-back";
  const parts = (["source", "target"] as const).filter((part) => operation[part] !== null);
  const records = await Promise.all(
    parts.map(async (part) => ({ part, record: await placements.find(String(operation[part])) })),
  );
  const [first] = records;
  if (first === undefined) throw new AppError("internal", `cannot explain ${id}: it has no placement`);
  const { strategy, from, to } = operation;
  const replicaMs = replicaMsOf({ storage: first.record.storage, source: from, target: to });
  const input = sagaInput({ strategy, knownEpoch: 0, adoptedEpoch: 0, replicaMs }, first.record);
  const [places, { lease, trouble }] = await Promise.all([
    Promise.all(
      (isOver ? [] : records).map(async ({ part, record }) =>
        lookAtPlace({ part, record, cluster: await cluster(record.cluster), signingKey }),
      ),
    ),
    isOver ? { lease: null, trouble: [] } : lookAtLease(first.record),
  ]);
  const told = explain(operation, table, input);
  return { operation: id, state: operation.state, ...told, places, lease, trouble };
}
