import { type Cluster, openProcessCluster } from "@baton/clusters";
import { AppError, type ClusterManifest, type Manifest, type StorageManifest } from "@baton/protocol";
import { assertProbe } from "@baton/storage";
import type { Logger } from "pino";
import { probeBinding } from "./ports/probe-binding.ts";
import type { Catalog } from "./records/catalog.ts";

const checkTimeoutMs = 5_000;
const probeTimeoutMs = 30_000;

export type OpenCluster = (manifest: ClusterManifest) => Cluster;

export function clusterOpener(agentCommand: readonly string[], log: Logger): OpenCluster {
  return ({ name, directory }) =>
    openProcessCluster({
      name,
      directory,
      agentCommand,
      log: (message, facts) => log.info({ cluster: name, ...facts }, message),
    });
}

/** A storage is probed and a cluster checked before they are taken: what cannot work is refused where it is declared. */
export async function applyManifest(
  catalog: Catalog,
  openCluster: OpenCluster,
  manifest: Manifest,
): Promise<Manifest> {
  switch (manifest.kind) {
    case "cluster":
      await openCluster(manifest).check({ timeoutMs: checkTimeoutMs });
      await catalog.putCluster(manifest);
      return manifest;
    case "storage": {
      const storage = await checkStorage(manifest);
      await catalog.putStorage(storage);
      return storage;
    }
    case "application":
      await catalog.putApplication(manifest);
      return manifest;
  }
}

/** Probed with every data key that placements may be given. @returns the manifest with the form of If-Match that was found. */
async function checkStorage(manifest: StorageManifest): Promise<StorageManifest> {
  const { name, credentials } = manifest;
  let storage = manifest;
  for (const cluster of [null, ...Object.keys(credentials.dataByCluster)]) {
    const probe = await probeBinding({ storage, cluster, timeoutMs: probeTimeoutMs });
    assertProbe(
      probe,
      `storage "${name}" with ${cluster === null ? "the data key" : `the data key of ${cluster}`}`,
    );
    const { ifMatch } = probe;
    if (storage.ifMatch !== undefined && storage.ifMatch !== ifMatch)
      throw new AppError(
        "storage-conditions",
        `cannot use storage "${name}": it says that the store wants ETags ${storage.ifMatch} in If-Match, and the store wants them ${ifMatch}; leave "ifMatch" out`,
      );
    storage = { ...storage, ifMatch };
  }
  return storage;
}
