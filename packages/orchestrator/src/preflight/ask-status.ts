import type { Cluster } from "@baton/clusters";
import { createAgentClient } from "@baton/hook-client";
import { AppError, type AgentStatus, type PrivateKey, isAppError } from "@baton/protocol";
import { createBucketChannel } from "../ports/bucket-channel.ts";
import { openControlStore } from "../ports/storages.ts";
import type { PlacementRecord, PlacementRecords } from "../records/placement-records.ts";
import type { AskStatus } from "./gather-facts.ts";

const findMs = 3_000;
const directMs = 5_000;

interface AskParams {
  readonly placements: Pick<PlacementRecords, "find">;
  readonly cluster: (name: string) => Promise<Cluster>;
  readonly signingKey: PrivateKey;
}

/**
 * Asks agents how they are without changing anything: unlike an operation, a plan starts no agent again. One that cannot be reached by network is asked
 * through the bucket.
 */
export const createAskStatus =
  (params: AskParams): AskStatus =>
  async (placement, signal) => {
    const record = await params.placements.find(placement);
    const cluster = await params.cluster(record.cluster);
    if (!cluster.capabilities.reachesAgents) return askThroughBucket(record, params.signingKey, signal);
    const client = await findAgent(params, record, cluster);
    try {
      return await client.status(AbortSignal.any([signal, AbortSignal.timeout(directMs)]));
    } catch (error) {
      if (signal.aborted || !isAppError(error) || error.code !== "agent-unreachable") throw error;
      return askThroughBucket(record, params.signingKey, signal);
    }
  };

async function findAgent(
  { signingKey }: AskParams,
  { id: placement, publicKey }: PlacementRecord,
  cluster: Cluster,
) {
  const placed = await cluster.find({ placement, timeoutMs: findMs });
  if (placed === null)
    throw new AppError(
      "unknown-placement",
      `cannot reach placement ${placement}: it is not on ${cluster.name}`,
    );
  const { endpoint } = placed;
  if (publicKey !== null && endpoint.publicKey.x !== publicKey.x)
    throw new AppError(
      "agent-identity",
      `cannot trust the agent of ${placement}: it has another key than recorded`,
    );
  const { agentDispatcher: dispatcher } = cluster;
  return createAgentClient({ url: endpoint.url, placement, signingKey, dispatcher });
}

async function askThroughBucket(
  { id: placement, storage }: PlacementRecord,
  signingKey: PrivateKey,
  signal: AbortSignal,
): Promise<AgentStatus> {
  const store = await openControlStore(storage);
  try {
    const open = async () => store;
    const channel = createBucketChannel({ open, prefix: storage.prefix, placement, signingKey });
    return await channel.command({ kind: "read" }, 0, signal);
  } finally {
    store.close();
  }
}
