import { type Cluster, openProcessCluster } from "@baton/clusters";
import type { ClusterManifest, Manifest, StorageManifest } from "@baton/protocol";
import { assertProbe, probeStorage } from "@baton/storage";
import type { Logger } from "pino";
import { openControlStore, openStore, readDataKey } from "./ports/storages.ts";
import type { Catalog } from "./records/catalog.ts";

const checkTimeoutMs = 5_000;

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
      // Every data key that placements may be given; the empty name stands for a cluster without a key of its own.
      for (const cluster of ["", ...Object.keys(manifest.credentials.dataByCluster)])
        await checkStorage(manifest, cluster);
      await catalog.putStorage(manifest);
      return manifest;
    }
    case "application":
      await catalog.putApplication(manifest);
      return manifest;
  }
}

async function checkStorage(manifest: StorageManifest, cluster: string): Promise<void> {
  const { name, prefix } = manifest;
  const control = await openControlStore(manifest);
  const data = openStore(manifest, await readDataKey(manifest, cluster));
  try {
    const probe = await probeStorage({ control, data, prefix, timeoutMs: checkTimeoutMs });
    assertProbe(
      probe,
      `storage "${name}" with ${cluster === "" ? "the data key" : `the data key of ${cluster}`}`,
    );
  } finally {
    control.close();
    data.close();
  }
}
