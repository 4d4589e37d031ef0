import {
  type Cluster,
  openContainerCluster,
  openKubernetesCluster,
  openProcessCluster,
} from "@baton/clusters";
import {
  AppError,
  type ClusterManifest,
  type DatabaseManifest,
  type Manifest,
  type StorageManifest,
} from "@baton/protocol";
import { assertPostgresRoles } from "@baton/storage/fence";
import type { OpenTraffic } from "@baton/traffic";
import type { Logger } from "pino";
import { doorOf } from "./ports/database-roles.ts";
import { readDatabaseLogin } from "./ports/secrets.ts";
import type { Catalog } from "./records/catalog.ts";
import { assertCertificates } from "./storages/assert-certificates.ts";
import type { StorageProbes } from "./storages/storage-probes.ts";
import { assertVerdict } from "./storages/verdict.ts";

const checkTimeoutMs = 5_000;
const databaseTimeoutMs = 10_000;

export type OpenCluster = (manifest: ClusterManifest) => Cluster;

export function clusterOpener(agentCommand: readonly string[], log: Logger): OpenCluster {
  return (manifest) => {
    const { name } = manifest;
    const tell = (message: string, facts: Readonly<Record<string, unknown>>): void =>
      log.info({ cluster: name, ...facts }, message);
    switch (manifest.driver) {
      case "process":
        return openProcessCluster({ name, directory: manifest.directory, agentCommand, log: tell });
      case "podman":
      case "docker":
        return openContainerCluster({ ...manifest, log: tell });
      case "kubernetes":
        return openKubernetesCluster({ ...manifest, log: tell });
    }
  };
}

export interface ApplyParams {
  readonly catalog: Catalog;
  readonly openCluster: OpenCluster;
  readonly probes: StorageProbes;
  readonly openTraffic: OpenTraffic;
}

/** A storage is probed, a cluster, a database and who is told of routes are checked before they are taken: what cannot work is refused where it is declared. */
export async function applyManifest(
  { catalog, openCluster, probes, openTraffic }: ApplyParams,
  manifest: Manifest,
): Promise<Manifest> {
  switch (manifest.kind) {
    case "cluster":
      await openCluster(manifest).check({ timeoutMs: checkTimeoutMs });
      await catalog.putCluster(manifest);
      return manifest;
    case "storage": {
      const storage = await checkStorage(probes, manifest);
      await catalog.putStorage(storage);
      return storage;
    }
    case "database":
      await checkDatabase(manifest);
      await catalog.putDatabase(manifest);
      return manifest;
    case "application":
      await Promise.all(
        (manifest.traffic ?? []).map((plugin) =>
          openTraffic(plugin).check(AbortSignal.timeout(checkTimeoutMs)),
        ),
      );
      await catalog.putApplication(manifest);
      return manifest;
  }
}

/** @returns the manifest with the form of If-Match that was found. */
async function checkStorage(probes: StorageProbes, storage: StorageManifest): Promise<StorageManifest> {
  assertCertificates(storage);
  const verdict = await probes.probe(storage, { thorough: false });
  assertVerdict(storage.name, verdict);
  const { ifMatch } = verdict;
  if (storage.ifMatch !== undefined && storage.ifMatch !== ifMatch)
    throw new AppError(
      "storage-conditions",
      `cannot use storage "${storage.name}": it says that the store wants ETags ${storage.ifMatch} in If-Match, and the store wants them ${ifMatch}; leave "ifMatch" out`,
    );
  return { ...storage, ifMatch };
}

/** That roles can be made there; changes nothing. @throws what `assertPostgresRoles` throws. */
export async function checkDatabase(database: DatabaseManifest): Promise<void> {
  assertCertificates(database);
  const { admin, group } = database;
  await assertPostgresRoles({
    door: doorOf(database),
    admin: () => readDatabaseLogin(admin),
    group,
    timeoutMs: databaseTimeoutMs,
  });
}
