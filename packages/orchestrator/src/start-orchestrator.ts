import { join } from "node:path";
import { noFaults } from "@baton/migration";
import { newOperationId, publicKeyOf } from "@baton/protocol";
import { measureInFlight } from "@baton/storage/bucket";
import { type OpenTraffic, openTrafficPlugin } from "@baton/traffic";
import { sql } from "kysely";
import { pino } from "pino";
import { assertListening } from "./api/assert-listening.ts";
import { createAuthenticator } from "./api/authenticate.ts";
import type { AppDeps } from "./api/create-app.ts";
import { listen } from "./api/listen.ts";
import { renderMetrics } from "./api/metrics.ts";
import { createReadiness } from "./api/readiness.ts";
import { applyManifest, clusterOpener } from "./apply-manifest.ts";
import type { OrchestratorConfig } from "./config.ts";
import { confirmReceipt } from "./confirm-receipt.ts";
import { launchOperationEngine } from "./engine/operation-engine.ts";
import { plantFault } from "./engine/planted-faults.ts";
import { scheduleProbes } from "./engine/probe-schedule.ts";
import { reconcileLeases } from "./engine/reconcile-leases.ts";
import { repeat } from "./engine/repeat.ts";
import { sweep } from "./engine/sweep.ts";
import { tellTraffic } from "./engine/tell-traffic.ts";
import { createOperationService } from "./operation-service.ts";
import { createForeignKeys } from "./ports/foreign-keys.ts";
import { openIdentities } from "./ports/identities.ts";
import { openOperationPorts, openPlacement, ownerOf } from "./ports/operation-ports.ts";
import { inFlightSubject } from "./ports/probe-binding.ts";
import { readWebhookSecret } from "./ports/secrets.ts";
import { startEmbeddedPostgres } from "./postgres/embedded-postgres.ts";
import { AdoptionRecords } from "./records/adoption-records.ts";
import { createPlanService } from "./plan-service.ts";
import { createAskStatus } from "./preflight/ask-status.ts";
import type { PreflightParams } from "./preflight/preflight-port.ts";
import { AuditRecords } from "./records/audit-records.ts";
import { Catalog } from "./records/catalog.ts";
import { openDatabase } from "./records/database.ts";
import { openInstallation } from "./records/installation.ts";
import { readOperationMetrics } from "./records/operation-metrics.ts";
import { OperationRecords } from "./records/operation-records.ts";
import { PlacementRecords } from "./records/placement-records.ts";
import { PlanRecords } from "./records/plan-records.ts";
import { ProbeRecords } from "./records/probe-records.ts";
import { deleteOldOperations } from "./records/retention.ts";
import { TokenRecords } from "./records/token-records.ts";
import { TrafficRecords } from "./records/traffic-records.ts";
import { handOverKeys } from "./storages/hand-over-keys.ts";
import { adoptLease } from "./storages/adopt-lease.ts";
import { createStorageService } from "./storages/storage-service.ts";
import { StorageProbes } from "./storages/storage-probes.ts";
import { readVersion } from "./version.ts";
import { openStateDirectory, readSecret, writeFileDurably } from "./state-directory.ts";

const sweepEveryMs = 5_000;
const certificateEveryMs = 10_000;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const inFlightLimitMs = 180_000;
const migrations = new URL("../migrations/", import.meta.url);
const openTraffic: OpenTraffic = (manifest) => openTrafficPlugin(manifest, readWebhookSecret);

export interface RunningOrchestrator {
  readonly url: string;
  /** Ends what was started here, in order; open operations go on at the next start. Agents and their applications stay. */
  stop(): Promise<void>;
  /** Rejects when something it cannot live without ends by itself. */
  readonly failed: Promise<never>;
}

/** Starts the whole orchestrator in this process. @throws AppError with one sentence that says what is missing. */
export async function startOrchestrator(config: OrchestratorConfig): Promise<RunningOrchestrator> {
  assertListening(config);
  const log = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
  const { adminToken, signingKey } = await openStateDirectory(config.stateDirectory, config);
  const faults =
    config.fault === undefined
      ? () => noFaults
      : plantFault(config.fault, join(config.stateDirectory, "fault-happened"));
  const closing = new AbortController();
  const undo: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    closing.abort();
    const failures: unknown[] = [];
    // What cannot be ended must not keep the rest alive: the database's server comes last.
    for (const end of undo.splice(0).toReversed())
      await end().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  try {
    const givenUrl =
      config.databaseUrlFile === undefined
        ? config.databaseUrl
        : (await readSecret(config.databaseUrlFile)).trim();
    const postgres =
      givenUrl === undefined
        ? await startEmbeddedPostgres({
            directory: join(config.stateDirectory, "postgres"),
            log: log.child({ part: "postgres" }),
          })
        : null;
    if (postgres !== null) undo.push(() => postgres.stop());
    const databaseUrl = givenUrl ?? postgres?.url ?? "";
    const database = await openDatabase(databaseUrl, migrations);
    undo.push(() => database.destroy());
    const installation = await openInstallation(database, publicKeyOf(signingKey));

    const catalog = new Catalog(database);
    const operations = new OperationRecords(database);
    const placements = new PlacementRecords(database);
    const probeRecords = new ProbeRecords(database);
    const probes = new StorageProbes({
      records: probeRecords,
      signal: closing.signal,
      measureInFlight,
      inFlightLimitMs,
    });
    undo.push(() => probes.end());
    const openCluster = clusterOpener(config.agentCommand, log);
    const cluster = async (name: string) => openCluster(await catalog.cluster(name));
    const reconciled = await reconcileLeases({ placements, installation, log, signal: closing.signal });

    // The address goes into the agents' configuration, so it must be known before any operation runs.
    const late: { deps?: AppDeps } = {};
    const server = await listen(config.listen, () => late.deps);
    undo.push(() => server.close());
    undo.push(repeat(certificateEveryMs, "take a new certificate", () => server.renew(), log));
    const preflight: PreflightParams = {
      database,
      catalog,
      cluster,
      probeRecords,
      probe: (storage, at, signal) => probes.probeOn(storage, at, signal),
      openTraffic,
      signingKey,
      ownerOf: (application) => ownerOf(installation, application),
      stateDirectory: config.stateDirectory,
      version: await readVersion(),
    };
    const reach: Parameters<typeof openOperationPorts>[0] = {
      database,
      operations,
      placements,
      probeRecords,
      preflight,
      cluster,
      signingKey,
      commandKey: publicKeyOf(signingKey),
      confirmUrl: `${config.publicUrl ?? server.url}/v1/confirmations`,
      installation,
      deliver: (of, key, jws) => engine.deliver(of, key, jws),
    };
    const engine = await launchOperationEngine({
      database,
      databaseUrl,
      records: operations,
      ports: (operation, life) => openOperationPorts(reach, operation, life),
      faults,
      reconciled,
      log,
    });
    undo.push(() => engine.stop());
    const sweeping = { database, operations, engine, log, leftAlone: new Set<string>() };
    await sweep(sweeping);
    undo.push(repeat(sweepEveryMs, "sweep the operations", () => sweep(sweeping), log));

    const retention = { days: config.keepDays ?? 400, newest: 20 };
    undo.push(
      repeat(
        hourMs,
        "delete old operations",
        async () => {
          const count = await deleteOldOperations(database, retention, (old) => engine.forget(old));
          if (count > 0) log.info({ operations: count, ...retention }, "old operations are deleted");
        },
        log,
      ),
    );

    undo.push(
      scheduleProbes({
        storages: () => catalog.storages(),
        records: probeRecords,
        probes,
        everyMs: { probe: config.probeEveryMs ?? dayMs, inFlight: 30 * dayMs },
        log,
        signal: closing.signal,
      }),
    );

    const traffic = new TrafficRecords(database);
    undo.push(
      tellTraffic({
        records: traffic,
        open: openTraffic,
        ownerOf: (application) => ownerOf(installation, application),
        log,
        signal: closing.signal,
      }),
    );

    const tokens = new TokenRecords(database);
    const storages = createStorageService({
      catalog,
      records: probeRecords,
      probes,
      handOver: async (storage) =>
        handOverKeys({
          serving: await placements.servingFrom(storage),
          replaceKey: async ({ placement, epoch }, signal) =>
            (await openPlacement(reach, placement, newOperationId())).replaceKey(epoch, signal),
        }),
    });
    const plans = createPlanService({
      preflight,
      records: new PlanRecords(database),
      status: createAskStatus({ placements, cluster, signingKey }),
    });
    late.deps = {
      authenticate: createAuthenticator(adminToken, tokens),
      audit: new AuditRecords(database),
      tokens,
      log,
      clusters: () => catalog.clusters(),
      databases: () => catalog.databases(),
      applications: () => catalog.applications(),
      storages,
      adopt: async (name, request, by) => {
        await catalog.application(request.application);
        const storage = await catalog.storage(name);
        return adoptLease({
          storage,
          owner: ownerOf(installation, request.application),
          request,
          by,
          keys: createForeignKeys({
            storage,
            identities: openIdentities(storage, signingKey),
            inFlightMs: async () => (await probeRecords.inFlight(inFlightSubject(storage)))?.ms ?? null,
          }),
          records: new AdoptionRecords(database),
        });
      },
      apply: (manifest) => applyManifest({ catalog, openCluster, probes, openTraffic }, manifest),
      route: (application) => placements.route(application),
      traffic: (application) => traffic.view(application),
      plans,
      operations: createOperationService({
        plans,
        database,
        catalog,
        operations,
        placements,
        engine,
        cluster,
        signingKey,
      }),
      ready: createReadiness({
        ask: () => sql`select 1`.execute(database),
        ending: closing.signal,
      }),
      metrics: () =>
        renderMetrics({
          operations: () => readOperationMetrics(database),
          storages: () => storages.list(),
          replica: () => engine.replica,
        }),
      confirm: (jws) =>
        confirmReceipt(
          { operations, placements, deliver: (operation, key, text) => engine.deliver(operation, key, text) },
          jws,
        ),
    };
    await writeFileDurably(join(config.stateDirectory, "url"), `${server.url}\n`);
    log.info({ url: server.url }, "listening");
    return { url: server.url, stop, failed: postgres?.exited ?? new Promise<never>(() => undefined) };
  } catch (error) {
    await stop().catch((failure: unknown) => log.error({ err: failure }, "cannot end what was started"));
    throw error;
  }
}
