import { setTimeout as delay } from "node:timers/promises";
import type { Cluster, PlacedAgent, PlacementSpec } from "@baton/clusters";
import { type AgentClient, createAgentClient } from "@baton/hook-client";
import type { PlacementPort } from "@baton/migration";
import {
  AppError,
  type PrivateKey,
  type ServedKey,
  type Verify,
  isAppError,
  verifyReceipt,
} from "@baton/protocol";
import { request } from "undici";
import type { PlacementRecord, PlacementRecords } from "../records/placement-records.ts";
import { createBucketChannel } from "./bucket-channel.ts";
import type { DatabaseRoles } from "./database-roles.ts";
import { type PlacementKeys, keyEnvironment } from "./placement-keys.ts";
import { openControlStore } from "./storages.ts";

const clusterTimeoutMs = 30_000;
/** How long an agent is tried by network before it is asked through the bucket. */
const directMs = 5_000;
/** From the agent's own deadline on: its receipt is written, and copied into the bucket. */
const copyReserveMs = 5_000;
/** So long the agent itself has for sending a receipt that is there. */
const sentFirstMs = 500;

export interface PlacementPortParams {
  readonly operation: string;
  readonly record: PlacementRecord;
  readonly records: Pick<PlacementRecords, "find" | "pinKey">;
  readonly cluster: Cluster;
  readonly spec: PlacementSpec;
  readonly signingKey: PrivateKey;
  readonly keys: PlacementKeys;
  /** Null: the application has no database. */
  readonly roles?: DatabaseRoles | null | undefined;
  /** Which life of the operation asks, looked up for each token; none for what belongs to no operation. */
  readonly term?: (() => Promise<number>) | undefined;
  /** Hands a receipt that was fetched to the operation that waits for it; idempotent. */
  readonly deliver?: ((operation: string, key: string, jws: string) => Promise<void>) | undefined;
}

export interface KeyedPlacementPort extends PlacementPort {
  /**
   * Has the application that runs in this epoch served its newest key; null where none runs.
   *
   * @throws `wrong-state` where another run lives, or one that is not served its key; what `PlacementKeys.issue` throws
   */
  replaceKey(epoch: number, signal: AbortSignal): Promise<ServedKey | null>;
}

const atRest: readonly string[] = ["held", "stopped", "crashed"];

/**
 * A placement's cluster and agent behind one port; a dead agent is started again on its old state, as a platform would. One that lives and cannot
 * be reached by network is asked through the bucket, for all but what carries data keys.
 */
export function createPlacementPort(params: PlacementPortParams): KeyedPlacementPort {
  const { operation, record, records, cluster, spec, signingKey, keys, deliver, term } = params;
  const placement = record.id;
  let known: { readonly placed: PlacedAgent; readonly client: AgentClient } | undefined;

  const adopt = async (placed: PlacedAgent) => {
    await records.pinKey(placement, placed.endpoint.publicKey, placed.applicationUrl);
    const { url } = placed.endpoint;
    const dispatcher = cluster.agentDispatcher;
    const client = createAgentClient({ url, placement, signingKey, term, dispatcher });
    known = { placed, client };
    return known;
  };
  const locate = async (timeoutMs: number) => {
    try {
      const placed = await cluster.find({ placement, timeoutMs });
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
  const withAgent = async <T>(
    signal: AbortSignal,
    work: (client: AgentClient) => Promise<T>,
    findMs = clusterTimeoutMs,
  ): Promise<T> => {
    const at = known ?? (await locate(findMs));
    try {
      return await work(at.client);
    } catch (error) {
      if (!isUnreachable(error) || signal.aborted) throw error;
      known = undefined;
      return work((await locate(findMs)).client);
    }
  };
  const channel = createBucketChannel({
    open: once(() => openControlStore(record.storage)),
    prefix: record.storage.prefix,
    placement,
    signingKey,
    term,
  });
  /**
   * By network, and for an agent that does not answer there through the bucket. A cluster that does not answer itself is another matter: nobody
   * would see from outside what became of the application, so nothing is begun.
   */
  const eitherWay = async <T>(
    signal: AbortSignal,
    work: (client: AgentClient, signal: AbortSignal) => Promise<T>,
    throughBucket: () => Promise<T>,
    waitMs = 0,
  ): Promise<T> => {
    if (!cluster.capabilities.reachesAgents) return throughBucket();
    const limit = AbortSignal.any([signal, AbortSignal.timeout(waitMs + directMs)]);
    try {
      return await withAgent(limit, (client) => work(client, limit), directMs);
    } catch (error) {
      if (signal.aborted || !isAppError(error)) throw error;
      if (error.code === "cluster-unavailable")
        await cluster.witness({ placement, timeoutMs: clusterTimeoutMs });
      else if (error.code !== "agent-unreachable") throw error;
      known = undefined;
      return throughBucket();
    }
  };
  /**
   * The agent may be unable to send its receipt here: it is fetched while the operation waits, whose application is down meanwhile. What fails, the
   * operation asks for itself, at its deadline.
   */
  const fetchReceipt = async (
    { key, waitMs }: { readonly key: string; readonly waitMs: number },
    from: Pick<AgentClient, "receipt">,
  ): Promise<void> => {
    if (deliver === undefined) return;
    const jws = await from.receipt({ key, waitMs }, AbortSignal.timeout(waitMs));
    if (jws === null) return;
    await verified(jws);
    await delay(sentFirstMs, undefined, { ref: false });
    await deliver(operation, key, jws);
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
    async place(signal) {
      await keys.prepare();
      const { client } = await adopt(await cluster.place({ spec, timeoutMs: clusterTimeoutMs }));
      return client.status(signal);
    },
    status: (signal) =>
      eitherWay(
        signal,
        (client, limit) => client.status(limit),
        () => channel.command({ kind: "read" }, 0, signal),
      ),
    witness: () => cluster.witness({ placement, timeoutMs: clusterTimeoutMs }),
    remove: () => cluster.remove({ placement, timeoutMs: clusterTimeoutMs }),
    async stop({ epoch, ...command }, signal) {
      const stop = { operation, ...command };
      const { key, deadlineMs } = stop;
      const from = await eitherWay<Pick<AgentClient, "receipt">>(
        signal,
        async (client, limit) => {
          await client.stop({ ...stop, epoch }, limit);
          return client;
        },
        async () => {
          await channel.stop({ kind: "stop", ...stop }, epoch, signal);
          return channel;
        },
      );
      fetchReceipt({ key, waitMs: deadlineMs + copyReserveMs }, from).catch(() => undefined);
    },
    async receipt(query, signal) {
      const endAt = performance.now() + query.waitMs;
      const jws = await eitherWay(
        signal,
        (client, limit) => client.receipt(query, limit),
        () => channel.receipt({ ...query, waitMs: endAt - performance.now() }, signal),
        query.waitMs,
      );
      return jws === null ? null : verified(jws);
    },
    verifyReceipt: verified,
    async start(command, signal) {
      const key = await keys.issue(command.epoch);
      const environment = (await params.roles?.issue({ placement, epoch: command.epoch })) ?? {};
      const isServed = record.storage.credentials.delivery === "endpoint";
      const body =
        isServed && key !== null
          ? { environment, key }
          : { environment: { ...environment, ...(key && keyEnvironment(key)) } };
      return withAgent(signal, (client) => client.start({ operation, ...command, body }, signal));
    },
    async replaceKey(epoch, signal) {
      const { run, state } = await withAgent(signal, (client) => client.status(signal));
      if (run === null || atRest.includes(state)) return null;
      const key = await keys.issue(epoch);
      if (key === null) return null;
      return withAgent(signal, (client) => client.replaceKey({ epoch, run, key }, signal));
    },
    async burn(command, signal) {
      return verified(await withAgent(signal, (client) => client.burn({ operation, ...command }, signal)));
    },
    withdraw: ({ key, epoch }, signal) =>
      eitherWay(
        signal,
        (client, limit) => client.withdraw({ operation, key, epoch }, limit),
        () => channel.command({ kind: "withdraw", operation, key }, epoch, signal),
      ),
    async open({ epoch, run }, signal) {
      await eitherWay(
        signal,
        (client, limit) => client.open({ operation, epoch, run }, limit),
        () => channel.command({ kind: "open", operation, run }, epoch, signal),
      );
    },
    async verify({ epoch, run, verify }, signal) {
      const { requests = [], commands = [] } = verify;
      const { placed } = known ?? (await locate(clusterTimeoutMs));
      for (const check of [verify, ...requests])
        await verifyApplication(new URL(check.path, placed.applicationUrl), check, signal);
      for (const [check, { command, timeoutMs }] of commands.entries()) {
        const { result, detail } = await withAgent(signal, (client) =>
          client.check({ operation, epoch, run, check, timeoutMs }, signal),
        );
        if (result !== "done")
          throw new AppError(
            "application-not-ready",
            `cannot verify the target: "${command.join(" ")}" ${result === "late" ? `took longer than ${timeoutMs} ms` : `failed: ${detail ?? "no output"}`}`,
          );
      }
    },
  };
}

const isUnreachable = (error: unknown): boolean => isAppError(error) && error.code === "agent-unreachable";

/** What failed is tried again by the next caller. */
function once<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined;
  return () =>
    (opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    }));
}

async function verifyApplication(
  url: URL,
  { method, timeoutMs }: Pick<Verify, "method" | "timeoutMs">,
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
