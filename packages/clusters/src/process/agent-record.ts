import {
  type AgentEndpoint,
  AppError,
  agentEndpointSchema,
  integer,
  parseAs,
  strictObject,
} from "@baton/protocol";
import { type ProcessIdentity, identify, isAlive, readBootId } from "@baton/process-tree";
import * as v from "valibot";
import { readJson, replaceJson } from "./durable-file.ts";
import type { PlacementPaths } from "./placement-directory.ts";

const identitySchema = strictObject({ pid: integer, startTime: v.string(), bootId: v.string() });

/** `<placement>/spawn.json`: what the driver knows of the agents that it started, whoever wins their lock. */
const spawnRecordSchema = strictObject({
  /** The boot that `since` belongs to. */
  bootId: v.string(),
  /** Start time in ticks; no agent of this boot, and so no process of the application, is older. */
  since: v.string(),
  /** Whether every agent of this boot was started with no_new_privs. */
  noNewPrivileges: v.boolean(),
  /** The agent started last, as far as it could be recorded. */
  agent: v.nullable(identitySchema),
});
export type SpawnRecord = v.InferOutput<typeof spawnRecordSchema>;

/** Null when no agent was ever started. */
export async function readSpawnRecord(paths: PlacementPaths): Promise<SpawnRecord | null> {
  const content = await readJson(paths.spawn);
  if (content === undefined) return null;
  return parseAs(spawnRecordSchema, content, paths.spawn, "cluster-unavailable");
}

/**
 * Records, before an agent is started, what will hold for it: it is younger than the process that starts it. The older bound stays
 * valid for the rest of the boot. Two drivers at once may both write theirs: both looked before either started an agent.
 */
export async function prepareSpawn(paths: PlacementPaths, noNewPrivileges: boolean): Promise<SpawnRecord> {
  const bootId = await readBootId();
  const before = await readSpawnRecord(paths);
  const isSameBoot = before?.bootId === bootId;
  const self = isSameBoot ? null : await identify(process.pid);
  const record: SpawnRecord = {
    bootId,
    since: isSameBoot ? before.since : (self?.startTime ?? "0"),
    noNewPrivileges: noNewPrivileges && (!isSameBoot || before.noNewPrivileges),
    agent: before?.agent ?? null,
  };
  await replaceJson(paths.spawn, record);
  return record;
}

export async function recordSpawned(
  paths: PlacementPaths,
  record: SpawnRecord,
  agent: ProcessIdentity,
): Promise<void> {
  await replaceJson(paths.spawn, { ...record, agent } satisfies SpawnRecord);
}

/** What the agent wrote when it began to listen; of its last life, so it may be dead. Null when none ever listened. */
export async function readEndpoint(paths: PlacementPaths, placement: string): Promise<AgentEndpoint | null> {
  const content = await readJson(paths.endpoint);
  if (content === undefined) return null;
  const endpoint = parseAs(agentEndpointSchema, content, paths.endpoint, "cluster-unavailable");
  if (endpoint.placement === placement) return endpoint;
  const detail = `cannot trust ${paths.endpoint}: it names placement ${endpoint.placement}; restore the directory`;
  throw new AppError("cluster-unavailable", detail);
}

export const identityOf = ({ pid, startTime, bootId }: AgentEndpoint): ProcessIdentity => ({
  pid,
  startTime,
  bootId,
});

/** Every agent of the placement that is known to have lived, dead or alive. */
export async function knownAgents(
  paths: PlacementPaths,
  placement: string,
): Promise<readonly ProcessIdentity[]> {
  const endpoint = await readEndpoint(paths, placement);
  const spawned = (await readSpawnRecord(paths))?.agent;
  return [...(endpoint === null ? [] : [identityOf(endpoint)]), ...(spawned ? [spawned] : [])];
}

/** @throws when it cannot be known of one of them, which is never the same as dead */
export async function livingOf(identities: readonly ProcessIdentity[]): Promise<readonly ProcessIdentity[]> {
  const alive = await Promise.all(identities.map(isAlive));
  return identities.filter((_identity, n) => alive[n]);
}
