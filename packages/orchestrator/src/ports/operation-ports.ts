import { setTimeout as delay } from "node:timers/promises";
import type { Cluster, PlacementSpec } from "@baton/clusters";
import type {
  Clock,
  DeployInput,
  DeployPorts,
  MigratePorts,
  RecordsPort,
  SourcePorts,
} from "@baton/migration";
import { AppError, type Operation, type PrivateKey, type PublicKey } from "@baton/protocol";
import { type Life, admitted } from "../engine/operation-life.ts";
import type { Database } from "../records/database.ts";
import type { OperationRecords } from "../records/operation-records.ts";
import { type PlacementRecord, PlacementRecords } from "../records/placement-records.ts";
import { AdoptionRecords } from "../records/adoption-records.ts";
import type { ProbeRecords } from "../records/probe-records.ts";
import { type PreflightParams, createPreflightPort } from "../preflight/preflight-port.ts";
import { saveFindings } from "../records/findings.ts";
import { ownTable, sagaOf } from "../records/saga-tables.ts";
import { createLeasePort } from "./lease-port.ts";
import { openFence, openKeys } from "./open-fence.ts";
import { createPlacementKeys } from "./placement-keys.ts";
import { type KeyedPlacementPort, type PlacementPortParams, createPlacementPort } from "./placement-port.ts";
import { sagaInput } from "./saga-input.ts";
import { isReplica, placeOn } from "./storages.ts";
import { createReplicaPort, replicaMsOf } from "./replica-port.ts";

/** Pause between two renewals: a renewal shows life to people, it is no evidence. */
const renewMs = 5_000;

export interface OperationPortsParams {
  readonly database: Database;
  readonly operations: OperationRecords;
  readonly placements: PlacementRecords;
  readonly probeRecords: ProbeRecords;
  readonly preflight: PreflightParams;
  readonly cluster: (name: string) => Promise<Cluster>;
  readonly signingKey: PrivateKey;
  readonly commandKey: PublicKey;
  readonly confirmUrl: string;
  readonly installation: string;
  readonly deliver?: PlacementPortParams["deliver"];
}

export interface OperationPorts {
  readonly kind: Operation["kind"];
  /** The name of its table of steps. */
  readonly saga: string;
  readonly application: string;
  readonly input: DeployInput;
  /* With the placements that the kind of operation names. */
  readonly deployPorts: () => DeployPorts;
  readonly sourcePorts: () => SourcePorts;
  readonly migratePorts: () => MigratePorts;
}

export const ownerOf = (installation: string, application: string): string =>
  `${installation}/${application}`;

const clock: Clock = {
  now: () => new Date(),
  wait: async (ms, signal) => {
    await delay(ms, undefined, { signal });
  },
};

/** Everything that the saga of one operation may touch, from the operation's row and its deployment. @param life null for who only looks */
export async function openOperationPorts(
  params: OperationPortsParams,
  operation: string,
  life: Life | null,
): Promise<OperationPorts> {
  const { database, placements } = params;
  const operations = life === null ? params.operations : params.operations.inTerm(life.term);
  /** What else is on record changes under the same condition. */
  const changePlacements = <T>(change: (own: PlacementRecords) => Promise<T>): Promise<T> =>
    operations.change(operation, (transaction) => change(new PlacementRecords(transaction)));
  const row = await database
    .selectFrom("operations")
    .selectAll()
    .where("id", "=", operation)
    .executeTakeFirst();
  if (row === undefined)
    throw new AppError("unknown-operation", `cannot run operation ${operation}: there is no record of it`);
  const { kind, application } = row;
  const owner = ownerOf(params.installation, application);
  const ownRecords: PlacementPortParams["records"] = {
    find: (id) => placements.find(id),
    pinKey: (...pinned) => changePlacements((own) => own.pinKey(...pinned)),
  };
  const place = async (id: string) => {
    const reach = { ...params, placements: ownRecords, term: life?.admit };
    return admitted(await openPlacement(reach, id, operation), life);
  };
  const [target, source, record] = await Promise.all([
    row.target === null ? null : place(row.target),
    row.source === null ? null : place(row.source),
    placements.find(row.target ?? row.source ?? ""),
  ]);
  const { storage } = record;
  const ends = { storage, source: row.from_cluster, target: row.to_cluster };
  const pivot = async (committed: Promise<boolean>): Promise<void> => {
    if (!(await committed))
      throw new AppError("wrong-state", `cannot commit ${operation}: it is being taken back`);
  };
  const records: RecordsPort = {
    raiseEpoch: (epoch) => changePlacements((own) => own.raiseEpoch(application, epoch)),
    mark: (moments) => operations.mark(operation, moments),
    saveReceipt: (receipt) => operations.saveReceipt(operation, receipt),
    commit: (epoch) => pivot(operations.commit(operation, epoch)),
    commitStop: () => pivot(operations.commitStop(operation)),
    commitDelete: () => pivot(operations.commitDelete(operation)),
    saveFence: (fence, possibleLoss) => operations.saveFence(operation, fence, possibleLoss),
    saveReplica: (replica) => operations.saveReplica(operation, replica),
    restore: (epoch) => changePlacements((own) => own.restoreEpoch(application, epoch)),
    retire: (placement) => changePlacements((own) => own.retire(placement)),
  };
  const lease = createLeasePort({ storage, application, owner });
  const { signingKey, probeRecords } = params;
  const fence = openFence({ deployment: record, signingKey, probeRecords });
  const named = <T>(placement: T | null): T => {
    if (placement === null)
      throw new AppError("internal", `cannot ${kind} ${application}: the operation lacks a placement`);
    return placement;
  };
  const common = {
    // A store knows no term. Its token is the ETag: a lease write is planned and on record before it is sent (rule 7), and one that a later life
    // has overtaken finds another ETag.
    lease: admitted(lease, life),
    records,
    clock,
    fence: fence && admitted(fence, life),
    replica: createReplicaPort(ends),
    preflight: createPreflightPort(params.preflight, {
      operation,
      table: ownTable(row),
      status: async (placement, signal) =>
        named(placement === source?.placement ? source : target).status(signal),
      keep: (findings) => saveFindings(operations, operation, findings),
    }),
  };
  return {
    kind,
    saga: sagaOf(row),
    application,
    deployPorts: () => ({ ...common, target: named(target) }),
    sourcePorts: () => ({ ...common, source: named(source) }),
    migratePorts: () => ({ ...common, source: named(source), target: named(target) }),
    input: sagaInput(
      {
        strategy: row.strategy,
        knownEpoch: row.known_epoch,
        adoptedEpoch: await new AdoptionRecords(database).epochOf(application),
        replicaMs: replicaMsOf(ends),
      },
      record,
    ),
  };
}

interface PlacementParams
  extends
    Pick<
      OperationPortsParams,
      "cluster" | "signingKey" | "commandKey" | "confirmUrl" | "installation" | "deliver"
    >,
    Pick<PlacementPortParams, "term"> {
  readonly placements: PlacementPortParams["records"];
}

/** A placement as an operation reaches it, or somebody who asks for none. */
export async function openPlacement(
  params: PlacementParams,
  id: string,
  operation: string,
): Promise<KeyedPlacementPort> {
  const { placements, signingKey, deliver, term } = params;
  const record = await placements.find(id);
  const { storage, identities, roles } = openKeys(record, signingKey);
  return createPlacementPort({
    operation,
    record,
    records: placements,
    cluster: await params.cluster(record.cluster),
    spec: placementSpec(params, record, ownerOf(params.installation, record.application)),
    signingKey,
    roles,
    keys: createPlacementKeys({
      storage,
      identities,
      placement: id,
      cluster: record.cluster,
    }),
    deliver,
    term,
  });
}

function placementSpec(
  params: PlacementParams,
  { id, application, manifest, storage, cluster }: PlacementRecord,
  owner: string,
): PlacementSpec {
  const { prefix, credentials, ifMatch } = storage;
  const isLate = isReplica(storage, cluster);
  const { endpoint, region } = placeOn(storage, cluster);
  return {
    placement: id,
    ...(manifest.container && { container: manifest.container }),
    ...(manifest.kubernetes && { kubernetes: manifest.kubernetes }),
    agent: {
      application,
      commandKey: params.commandKey,
      confirm: { url: params.confirmUrl },
      storage: {
        // The lease is never on a replica.
        ...placeOn(storage, isLate ? null : cluster),
        ...(isLate && { application: { endpoint, region } }),
        ifMatch,
        prefix,
        owner,
        control: credentials.control,
        renewMs,
      },
      workload: manifest.workload,
      hook: manifest.hook,
      readiness: manifest.readiness,
      checks: manifest.verify?.commands ?? [],
    },
  };
}
