import { randomBytes } from "node:crypto";
import { access, constants, statfs } from "node:fs/promises";
import type { Cluster, ClusterSurvey } from "@baton/clusters";
import type {
  DatabaseFacts,
  FenceFacts,
  PreflightFacts,
  SagaFacts,
  Seen,
  SourceFacts,
  TargetFacts,
  TrafficFacts,
} from "@baton/migration";
import {
  type AgentStatus,
  AppError,
  type ClusterManifest,
  type PrivateKey,
  newPlacementId,
  trafficTarget,
} from "@baton/protocol";
import { identityOf } from "@baton/storage/fence";
import type { OpenTraffic } from "@baton/traffic";
import { checkDatabase } from "../apply-manifest.ts";
import { openDatabaseRoles } from "../ports/database-roles.ts";
import { openKeys } from "../ports/open-fence.ts";
import { readDataKey } from "../ports/storages.ts";
import type { Catalog } from "../records/catalog.ts";
import type { Subject } from "./read-subject.ts";
import { see } from "./see.ts";
import { type StorageFactsParams, keyFacts, seeStorage } from "./storage-facts.ts";

const quickMs = 5_000;
/** Some thirty requests, of which the slow ones follow each other. */
const surveyMs = 15_000;
/** By network, and after that through the bucket. */
const agentMs = 35_000;

export interface FactsParams {
  readonly catalog: Catalog;
  readonly cluster: (name: string) => Promise<Cluster>;
  readonly probeRecords: StorageFactsParams["records"];
  readonly probe: NonNullable<StorageFactsParams["probe"]>;
  readonly openTraffic: OpenTraffic;
  readonly signingKey: PrivateKey;
  readonly stateDirectory: string;
  readonly version: string;
}

/** Asks one placement's agent how it is. */
export type AskStatus = (placement: string, signal: AbortSignal) => Promise<AgentStatus>;

/**
 * Everything that preflight rules look at, all at once, each look with a deadline of its own: so it takes as long as the slowest, which is the probe.
 * Nothing is changed but the probe's scratch keys.
 */
export async function gatherFacts(
  params: FactsParams,
  about: { readonly subject: Subject; readonly saga: SagaFacts; readonly status: AskStatus },
  signal: AbortSignal,
): Promise<PreflightFacts> {
  const { subject, saga } = about;
  const { request, records } = subject;
  const { storage } = records;
  const { to } = request;
  // Of what is stopped, a delete writes nothing to the store.
  const isRemoval = request.kind === "delete" && subject.ofStopped;
  // Of this one look: digests of secrets are not to be compared with those of another.
  const salt = randomBytes(32);
  const cluster = to ?? subject.source?.cluster ?? null;
  // Before anything is looked at: who asks for a place that is not declared leaves no look behind.
  const [sourceManifest, targetManifest] = await Promise.all(
    [subject.source?.cluster ?? null, to].map(async (name) =>
      name === null ? null : params.catalog.cluster(name),
    ),
  );
  const [source, target, seenStorage, fence, database, traffic, stateFreeBytes] = await Promise.all([
    seeSource(params, about, { manifest: sourceManifest ?? null, salt }, signal),
    seeTarget(params, subject, { declared: targetManifest ?? null, salt }, signal),
    seeStorage({
      storage,
      cluster,
      records: params.probeRecords,
      probe: isRemoval ? null : params.probe,
      signal,
    }),
    seeFence(params, subject, signal),
    seeDatabase(params, subject, signal),
    seeTraffic(params, subject, signal),
    see(() => freeBytes(params.stateDirectory), { timeoutMs: quickMs, signal }),
  ]);
  const orchestrator = { version: params.version, stateFreeBytes };
  return {
    request,
    saga,
    records,
    source,
    target,
    storage: seenStorage,
    fence,
    database,
    traffic,
    orchestrator,
  };
}

async function seeSource(
  { cluster }: FactsParams,
  about: { readonly subject: Subject; readonly status: AskStatus },
  at: { readonly manifest: ClusterManifest | null; readonly salt: Uint8Array },
  signal: AbortSignal,
): Promise<SourceFacts | null> {
  const { subject, status } = about;
  const { source } = subject;
  const { manifest, salt } = at;
  if (source === null || manifest === null) return null;
  const { placement, publicKey, expected } = source;
  const quick = { timeoutMs: quickMs, signal };
  const open = cluster(source.cluster);
  const application = subject.records.manifest;
  const [capabilities, seenStatus, witness, survey] = await Promise.all([
    see(async () => (await open).capabilities, quick),
    see((limit) => status(placement, limit), { timeoutMs: agentMs, signal }),
    see(async () => (await open).witness({ placement, timeoutMs: quickMs }), quick),
    seeSurvey(open, { application, placement, salt }, signal),
  ]);
  const isKeyPinned = publicKey !== null;
  return {
    placement,
    cluster: source.cluster,
    expected,
    manifest,
    isKeyPinned,
    capabilities,
    status: seenStatus,
    witness,
    survey,
  };
}

async function seeTarget(
  { cluster }: FactsParams,
  { records: { manifest, storage } }: Subject,
  { declared, salt }: { readonly declared: ClusterManifest | null; readonly salt: Uint8Array },
  signal: AbortSignal,
): Promise<TargetFacts | null> {
  if (declared === null) return null;
  const { name: to } = declared;
  const quick = { timeoutMs: quickMs, signal };
  const open = cluster(to);
  // Makes the directories that the look is about.
  const check = see(async () => {
    await (await open).check({ timeoutMs: quickMs });
    return true as const;
  }, quick);
  const room = async () => {
    await check;
    const at = await open;
    if (at.inspect === undefined)
      throw new AppError("cluster-unavailable", "its driver cannot look before it places");
    return at.inspect({
      workload: manifest.workload,
      container: manifest.container,
      timeoutMs: quickMs,
    });
  };
  const about = { application: manifest, placement: null, salt };
  const [checked, capabilities, seenRoom, survey, dataKey] = await Promise.all([
    check,
    see(async () => (await open).capabilities, quick),
    see(room, quick),
    seeSurvey(open, about, signal),
    see(async () => keyFacts(await readDataKey(storage, to)), quick),
  ]);
  return { cluster: to, manifest: declared, check: checked, capabilities, room: seenRoom, survey, dataKey };
}

/** Null where the driver makes none. */
async function seeSurvey(
  open: Promise<Cluster>,
  about: Omit<Parameters<NonNullable<Cluster["survey"]>>[0], "timeoutMs">,
  signal: AbortSignal,
): Promise<Seen<ClusterSurvey> | null> {
  const seen = await see(async () => (await open).survey?.({ ...about, timeoutMs: surveyMs }) ?? null, {
    timeoutMs: surveyMs,
    signal,
  });
  return seen.known && seen.value === null ? null : (seen as Seen<ClusterSurvey>);
}

/** Null where something that the application writes to has none. */
async function seeFence(
  { signingKey }: FactsParams,
  { request: { application }, source, records: { manifest, storage, database, epoch } }: Subject,
  signal: AbortSignal,
): Promise<FenceFacts | null> {
  const keys = openKeys({ application, manifest, storage, database }, signingKey);
  const { identities } = keys;
  if (keys.storage === null)
    return keys.roles === null ? null : { knowsSourceKey: { known: true, value: null } };
  if (identities === null) return null;
  try {
    // Whoever is asked for a key that nobody has shows that he answers.
    const identity = identityOf(storage, source?.placement ?? newPlacementId(), source === null ? 1 : epoch);
    const key: Seen<unknown> = await see(() => identities.keyOf({ identity, timeoutMs: quickMs }), {
      timeoutMs: quickMs,
      signal,
    });
    if (!key.known) return { knowsSourceKey: key };
    return { knowsSourceKey: { known: true, value: source === null ? null : key.value !== null } };
  } finally {
    identities.close();
  }
}

async function seeDatabase(
  { signingKey }: FactsParams,
  { request: { application }, source, records: { database, epoch } }: Subject,
  signal: AbortSignal,
): Promise<DatabaseFacts | null> {
  if (database === null) return null;
  const quick = { timeoutMs: quickMs, signal };
  const tryLogin =
    source === null
      ? null
      : openDatabaseRoles({ database, application, signingKey }).tryLogin({
          placement: source.placement,
          epoch,
        });
  const check = async (): Promise<true> => {
    await checkDatabase(database);
    return true;
  };
  const [checked, letsSourceIn] = await Promise.all([
    see(check, quick),
    see(
      async () => (tryLogin === null ? null : (await tryLogin({ timeoutMs: quickMs })).kind === "let-in"),
      quick,
    ),
  ]);
  return { check: checked, letsSourceIn };
}

/** As people declare it now: it goes by nothing else. */
function seeTraffic(
  { openTraffic }: FactsParams,
  { records: { declared } }: Subject,
  signal: AbortSignal,
): Promise<readonly TrafficFacts[]> {
  return Promise.all(
    (declared.manifest?.traffic ?? []).map(async (plugin) => ({
      target: trafficTarget(plugin),
      check: await see(
        async (limit) => {
          await openTraffic(plugin).check(limit);
          return true as const;
        },
        { timeoutMs: quickMs, signal },
      ),
    })),
  );
}

async function freeBytes(directory: string): Promise<number> {
  try {
    await access(directory, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "no answer";
    throw new AppError("internal", `it cannot be written to (${code})`, { cause: error });
  }
}
