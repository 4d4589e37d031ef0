/*
 * P1, P2, P3 on containers: the ledger moves between two Podman hosts and back while a writer uses it, and the orchestrator is killed on the way.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClusterName, type Harbour, clusters, openHarbour } from "@baton/example-ledger/demo";
import { type ClusterManifest, containerSchema, parseAs } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildAgent } from "./agent-bundle.ts";
import { needsContainers } from "./container-bed.ts";
import { type ContainerHost, startHost } from "./container-host.ts";
import { buildLedger, ledgerImage } from "./ledger-image.ts";
import { moveLedger } from "./move-ledger.ts";
import { findPodman } from "./podman.ts";

const found = await findPodman();
describe(
  "the ledger on two Podman hosts",
  { skip: found.missing !== null, meta: needsContainers(found) },
  () => {
    let directory = "";
    let hosts: readonly ContainerHost[] = [];
    let harbour: Harbour;

    beforeAll(async () => {
      if (found.missing !== null) return;
      directory = await mkdtemp(join(tmpdir(), "baton-hosts-"));
      const agent = await buildAgent();
      await buildLedger(found, directory);
      hosts = [
        await startHost(found, ledgerImage, directory),
        await startHost(found, ledgerImage, directory),
      ];
      const declared = hosts.map(({ api, address }, n): ClusterManifest => ({
        kind: "cluster",
        name: clusters[n] ?? "",
        driver: "podman",
        api,
        address,
        agent,
        registries: [],
      }));
      harbour = await openHarbour({
        changes: {
          container: parseAs(containerSchema, { image: ledgerImage, pull: "never" }, "the container"),
          workload: { command: ["node", "/app/ledger.mjs"], environment: { LISTEN_HOST: "0.0.0.0" } },
        },
        elsewhere: { clusters: declared, storeHost: hosts[0]?.outside ?? "", end: async () => {} },
      });
    }, 300_000);
    afterAll(async () => {
      await harbour?.close();
      for (const host of hosts) await host.down();
      if (directory !== "") await rm(directory, { recursive: true, force: true });
    }, 180_000);

    const containersOn = async (cluster: ClusterName): Promise<readonly string[]> => {
      const listed = await hosts[clusters.indexOf(cluster)]?.ask("GET", "/containers/json?all=true");
      return (listed as readonly { Names: readonly string[] }[]).flatMap(({ Names }) => Names);
    };

    it("moves there and back, though the orchestrator is killed, and loses nothing", async () => {
      await moveLedger(harbour, {
        moves: 2,
        async afterMove({ source, from, target, to }) {
          // The source's container is gone, and nothing else of it but its volume is there.
          expect(await containersOn(from)).toEqual([]);
          const state = await hosts[clusters.indexOf(from)]?.ask("GET", `/volumes/baton-${source}`);
          const { Mountpoint } = state as { readonly Mountpoint: string };
          expect(await readFile(join(Mountpoint, "agent.log"), "utf8")).toContain("the agent listens");
          expect(await containersOn(to)).toEqual([`/baton-${target}`]);
        },
      });
      for (const cluster of clusters) expect(await containersOn(cluster)).toEqual([]);
    });
  },
);
