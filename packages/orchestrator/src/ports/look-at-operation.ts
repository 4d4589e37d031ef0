import type { Cluster } from "@baton/clusters";
import { createAgentClient } from "@baton/hook-client";
import { AppError, type Explanation, type Place, type PrivateKey, toAppError } from "@baton/protocol";
import { readLease } from "@baton/storage";
import type { PlacementRecord } from "../records/placement-records.ts";
import { openControlStore } from "./storages.ts";

const lookMs = 3_000;

/** Looks only: an agent that is down is not started again. What cannot be seen is said. */
export async function lookAtPlace(params: {
  readonly part: Place["part"];
  readonly record: PlacementRecord;
  readonly cluster: Cluster;
  readonly signingKey: PrivateKey;
}): Promise<Place> {
  const { part, record, cluster, signingKey } = params;
  const placement = record.id;
  const trouble: string[] = [];
  const see = seeing(trouble);
  const [witness, agent] = await Promise.all([
    see(cluster.witness({ placement, timeoutMs: lookMs })),
    see(
      cluster.find({ placement, timeoutMs: lookMs }).then(async (placed) => {
        if (placed === null)
          throw new AppError("unknown-placement", `${placement} is not on ${cluster.name}`);
        const { url } = placed.endpoint;
        const dispatcher = cluster.agentDispatcher;
        const client = createAgentClient({ url, placement, signingKey, dispatcher });
        return client.status(AbortSignal.timeout(lookMs));
      }),
    ),
  ]);
  return { part, placement, cluster: cluster.name, agent, witness: witness?.state ?? null, trouble };
}

/** The lease in words. */
export async function lookAtLease({
  storage,
}: PlacementRecord): Promise<Pick<Explanation, "lease" | "trouble">> {
  const trouble: string[] = [];
  const view = await seeing(trouble)(
    openControlStore(storage).then((store) =>
      readLease({ store, prefix: storage.prefix, timeoutMs: lookMs }).finally(() => store.close()),
    ),
  );
  if (trouble.length > 0) return { lease: null, trouble };
  if (view === null) return { lease: "there is none", trouble };
  const { epoch, holder, state } = view.lease;
  return { lease: `epoch ${epoch}, ${state}, held by ${holder}`, trouble };
}

const seeing =
  (trouble: string[]) =>
  async <T>(what: Promise<T>): Promise<T | null> => {
    try {
      return await what;
    } catch (error) {
      trouble.push(toAppError(error).message);
      return null;
    }
  };
