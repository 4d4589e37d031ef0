import { setTimeout as delay } from "node:timers/promises";
import type { Cluster, PlacementSpec } from "@baton/clusters";
import type { Clock, DeployInput, DeployPorts, MigratePorts, RecordsPort } from "@baton/migration";
import {
  AppError,
  type PrivateKey,
  type PublicKey,
  type StorageManifest,
  longestStopMs,
} from "@baton/protocol";
import type { ProbeResult } from "@baton/storage";
import type { Database } from "../records/database.ts";
import type { OperationRecords } from "../records/operation-records.ts";
import type { PlacementRecord, PlacementRecords } from "../records/placement-records.ts";
import type { ProbeRecords } from "../records/probe-records.ts";
import { createFencePort } from "./fence-port.ts";
import { openIdentities } from "./identities.ts";
import { createLeasePort } from "./lease-port.ts";
import { createPlacementKeys } from "./placement-keys.ts";
import { type PlacementPortParams, createPlacementPort } from "./placement-port.ts";
import { inFlightSubject } from "./probe-binding.ts";
import { placeOn } from "./storages.ts";

/** Pause between two renewals: a renewal shows life to people, it is no evidence. */
const renewMs = 5_000;

export interface OperationPortsParams {
  readonly database: Database;
  readonly operations: OperationRecords;
  readonly placements: PlacementRecords;
  readonly probeRecords: ProbeRecords;
  /** Looks at a storage with the key of a cluster, and puts on record what was seen. */
  readonly probe: (storage: StorageManifest, cluster: string, signal: AbortSignal) => Promise<ProbeResult>;
  readonly cluster: (name: string) => Promise<Cluster>;
  readonly signingKey: PrivateKey;
  readonly commandKey: PublicKey;
  readonly confirmUrl: string;
  readonly installation: string;
  readonly deliver?: PlacementPortParams["deliver"];
}

export interface OperationPorts {
  readonly kind: "deploy" | "migrate";
  readonly application: string;
  readonly input: DeployInput;
  readonly deployPorts: DeployPorts;
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

/** Everything that the saga of one operation may touch, from the operation's row and its deployment. */
export async function openOperationPorts(
  params: OperationPortsParams,
  operation: string,
): Promise<OperationPorts> {
  const { database, operations, placements } = params;
  const row = await database
    .selectFrom("operations")
    .selectAll()
    .where("id", "=", operation)
    .executeTakeFirst();
  if (row === undefined)
    throw new AppError("unknown-operation", `cannot run operation ${operation}: there is no record of it`);
  const { kind, application } = row;
  const owner = ownerOf(params.installation, application);
  const place = async (id: string) => {
    const record = await placements.find(id);
    const cluster = await params.cluster(record.cluster);
    const spec = placementSpec(params, record, owner);
    return createPlacementPort({
      operation,
      record,
      records: placements,
      cluster,
      spec,
      signingKey: params.signingKey,
      keys: createPlacementKeys({
        storage: record.storage,
        identities: openIdentities(record.storage, params.signingKey),
        placement: id,
        cluster: record.cluster,
      }),
      deliver: params.deliver,
    });
  };
  const [target, source, record] = await Promise.all([
    place(row.target),
    row.source === null ? null : place(row.source),
    placements.find(row.target),
  ]);
  const { manifest, storage } = record;
  const records: RecordsPort = {
    raiseEpoch: (epoch) => placements.raiseEpoch(application, epoch),
    mark: (moments) => operations.mark(operation, moments),
    saveReceipt: (receipt) => operations.saveReceipt(operation, receipt),
    async commit(epoch) {
      if (!(await operations.commit(operation, epoch)))
        throw new AppError("wrong-state", `cannot commit ${operation}: it is being taken back`);
    },
    saveFence: (fence, possibleLoss) => operations.saveFence(operation, fence, possibleLoss),
    restore: (epoch) => placements.restoreEpoch(application, epoch),
    retire: (placement) => placements.retire(placement),
  };
  const lease = createLeasePort({
    storage,
    application,
    owner,
    probe: (signal) => params.probe(storage, row.to_cluster, signal),
  });
  const identities = openIdentities(storage, params.signingKey);
  const fence =
    identities === null
      ? null
      : createFencePort({
          storage,
          identities,
          inFlightMs: async () => (await params.probeRecords.inFlight(inFlightSubject(storage)))?.ms ?? null,
        });
  const deployPorts: DeployPorts = { target, lease, records, clock, fence };
  return {
    kind,
    application,
    deployPorts,
    migratePorts: () => {
      if (source === null)
        throw new AppError("internal", `cannot migrate ${application}: the operation names no source`);
      return { ...deployPorts, source };
    },
    input: {
      application,
      graceMs: longestStopMs(manifest.hook),
      readyTimeoutMs: manifest.readiness.timeoutMs,
      verify: manifest.verify ?? null,
      settleMs: storage.settleMs,
      knownEpoch: row.known_epoch,
    },
  };
}

function placementSpec(
  params: OperationPortsParams,
  { id, application, manifest, storage, cluster }: PlacementRecord,
  owner: string,
): PlacementSpec {
  const { prefix, credentials, ifMatch } = storage;
  return {
    placement: id,
    agent: {
      application,
      commandKey: params.commandKey,
      confirm: { url: params.confirmUrl },
      storage: {
        ...placeOn(storage, cluster),
        ifMatch,
        prefix,
        owner,
        control: credentials.control,
        renewMs,
      },
      workload: manifest.workload,
      hook: manifest.hook,
      readiness: manifest.readiness,
    },
  };
}
