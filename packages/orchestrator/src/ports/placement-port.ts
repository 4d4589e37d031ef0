import type { Cluster, PlacedAgent, PlacementSpec } from "@baton/clusters";
import { type AgentClient, createAgentClient } from "@baton/hook-client";
import type { PlacementPort } from "@baton/migration";
import { AppError, type PrivateKey, type Verify, isAppError, verifyReceipt } from "@baton/protocol";
import { request } from "undici";
import type { PlacementRecord, PlacementRecords } from "../records/placement-records.ts";
import { readDataKey } from "./storages.ts";

const clusterTimeoutMs = 30_000;

export interface PlacementPortParams {
  readonly operation: string;
  readonly record: PlacementRecord;
  readonly records: PlacementRecords;
  readonly cluster: Cluster;
  readonly spec: PlacementSpec;
  readonly signingKey: PrivateKey;
}

/** A placement's cluster and agent behind one port; a dead agent is started again on its old state, as a platform would. */
export function createPlacementPort(params: PlacementPortParams): PlacementPort {
  const { operation, record, records, cluster, spec, signingKey } = params;
  const placement = record.id;
  let known: { readonly placed: PlacedAgent; readonly client: AgentClient } | undefined;

  const adopt = async (placed: PlacedAgent) => {
    await records.pinKey(placement, placed.endpoint.publicKey, placed.applicationUrl);
    const client = createAgentClient({ url: placed.endpoint.url, placement, signingKey });
    known = { placed, client };
    return known;
  };
  const locate = async () => {
    try {
      const placed = await cluster.find({ placement, timeoutMs: clusterTimeoutMs });
      if (placed !== null) return await adopt(placed);
    } catch (error) {
      if (!isAppError(error) || error.code !== "agent-unreachable") throw error;
      return adopt(await cluster.place({ spec, timeoutMs: clusterTimeoutMs }));
    }
    throw new AppError(
      "unknown-placement",
      `cannot reach placement ${placement}: it is not on ${cluster.name}`,
    );
  };
  /** An agent that moved (it was restarted) is looked up once more, but not for a caller who is gone: that may start it again. */
  const withAgent = async <T>(signal: AbortSignal, work: (client: AgentClient) => Promise<T>): Promise<T> => {
    const at = known ?? (await locate());
    try {
      return await work(at.client);
    } catch (error) {
      if (!isAppError(error) || error.code !== "agent-unreachable" || signal.aborted) throw error;
      known = undefined;
      return work((await locate()).client);
    }
  };
  const verified = async (jws: string) => {
    const key = (await records.find(placement)).publicKey;
    if (key === null)
      throw new AppError("receipt-invalid", `cannot verify a receipt of ${placement}: no key is recorded`);
    return { jws, receipt: await verifyReceipt(jws, key) };
  };

  return {
    placement,
    cluster: cluster.name,
    checkCluster: () => cluster.check({ timeoutMs: clusterTimeoutMs }),
    async place(signal) {
      const { client } = await adopt(await cluster.place({ spec, timeoutMs: clusterTimeoutMs }));
      return client.status(signal);
    },
    status: (signal) => withAgent(signal, (client) => client.status(signal)),
    witness: () => cluster.witness({ placement, timeoutMs: clusterTimeoutMs }),
    remove: () => cluster.remove({ placement, timeoutMs: clusterTimeoutMs }),
    async stop(command, signal) {
      await withAgent(signal, (client) => client.stop({ operation, ...command }, signal));
    },
    async receipt(query, signal) {
      const jws = await withAgent(signal, (client) => client.receipt(query, signal));
      return jws === null ? null : verified(jws);
    },
    verifyReceipt: verified,
    async start(command, signal) {
      const { accessKeyId, secretAccessKey } = await readDataKey(record.storage, cluster.name);
      const body = {
        environment: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
      };
      return withAgent(signal, (client) => client.start({ operation, ...command, body }, signal));
    },
    async burn(command, signal) {
      return verified(await withAgent(signal, (client) => client.burn({ operation, ...command }, signal)));
    },
    withdraw: ({ key, epoch }, signal) =>
      withAgent(signal, (client) => client.withdraw({ operation, key, epoch }, signal)),
    async open(command, signal) {
      await withAgent(signal, (client) => client.open({ operation, ...command }, signal));
    },
    async verify(check, signal) {
      const { placed } = known ?? (await locate());
      await verifyApplication(new URL(check.path, placed.applicationUrl), check, signal);
    },
  };
}

async function verifyApplication(
  url: URL,
  { method, timeoutMs }: Verify,
  signal: AbortSignal,
): Promise<void> {
  let status: number;
  try {
    const answer = await request(url, { method, headersTimeout: timeoutMs, bodyTimeout: timeoutMs, signal });
    status = answer.statusCode;
    await answer.body.dump();
  } catch (error) {
    throw new AppError(
      "application-not-ready",
      `cannot verify the target: ${method} ${url.pathname} was not answered`,
      { cause: error },
    );
  }
  if (status < 200 || status > 299)
    throw new AppError(
      "application-not-ready",
      `cannot verify the target: ${method} ${url.pathname} was answered with ${status}`,
    );
}
