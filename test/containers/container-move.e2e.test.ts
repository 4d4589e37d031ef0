/*
 * P1, P2, P3 on containers: the ledger moves between two Podman hosts and back while a writer uses it, and the orchestrator is killed on the way.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  checkLedger,
  findOverlaps,
  readLedgerFromStore,
  readRecordFile,
  startWriter,
} from "@baton/example-ledger";
import {
  type ClusterName,
  type Harbour,
  application,
  bucket,
  clusters,
  openHarbour,
  prefix,
  runOperation,
} from "@baton/example-ledger/demo";
import { type ClusterManifest, containerSchema, parseAs } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildAgent } from "./agent-bundle.ts";
import { needsContainers } from "./container-bed.ts";
import { type ContainerHost, startHost } from "./container-host.ts";
import { buildLedger, ledgerImage } from "./ledger-image.ts";
import { findPodman } from "./podman.ts";
import { until } from "./until.ts";

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
      const { client } = harbour;
      const deployed = await runOperation(client, { kind: "deploy", application, to: "harbor-a" });
      expect(deployed).toMatchObject({ state: "committed" });
      const clusterOf = new Map([[deployed.target, "harbor-a" as ClusterName]]);
      const recordFile = join(harbour.directory, "acknowledged.jsonl");
      const writer = startWriter({
        route: async () => (await client.route(application)).url,
        recordFile,
        ratePerSecond: 50,
      });
      try {
        for (const [to, fault] of [
          ["harbor-b", "kill@migrate.handOver:after"],
          ["harbor-a", undefined],
        ] as const) {
          await harbour.restartOrchestrator({ fault });
          const before = writer.acknowledged();
          await until("entries before the move", async () => writer.acknowledged() > before + 20);
          const { placement: source, cluster: from } = await client.route(application);
          const moved = await runOperation(client, { kind: "migrate", application, to });
          expect(moved).toMatchObject({ state: "committed", reason: null });
          clusterOf.set(moved.target, to);
          const after = writer.acknowledged();
          await until("entries after the move", async () => writer.acknowledged() > after + 20);
          expect(await client.route(application)).toMatchObject({ cluster: to, placement: moved.target });
          // The source's container is gone, and nothing else of it but its volume is there.
          expect(await containersOn(from as ClusterName)).toEqual([]);
          const state = await hosts[clusters.indexOf(from as ClusterName)]?.ask(
            "GET",
            `/volumes/baton-${source}`,
          );
          const { Mountpoint } = state as { readonly Mountpoint: string };
          expect(await readFile(join(Mountpoint, "agent.log"), "utf8")).toContain("the agent listens");
          expect(await containersOn(to)).toEqual([`/baton-${moved.target}`]);
        }
      } finally {
        await writer.stop();
      }
      expect(harbour.kills()).toBe(1);
      const { url } = await client.route(application);
      await until("the last entries in the bucket", async () => {
        const stats = (await (await fetch(new URL("/stats", url ?? ""))).json()) as { unflushed: number };
        return stats.unflushed === 0;
      });

      const keyOf = (placement: string): string | undefined => {
        const cluster = clusterOf.get(placement);
        return cluster && harbour.keys[cluster].accessKeyId;
      };
      const stored = await readLedgerFromStore({ directory: harbour.storeDirectory, bucket, prefix, keyOf });
      const acknowledgedIds = (await readRecordFile(recordFile)).map(({ id }) => id);
      expect(acknowledgedIds.length).toBeGreaterThan(80);
      expect(checkLedger({ acknowledgedIds, segments: stored.segments })).toMatchObject({
        lost: [],
        duplicated: [],
      });
      expect(findOverlaps({ ...stored, strict: true }).overlapping).toEqual([]);

      const deleted = await runOperation(client, { kind: "delete", application });
      expect(deleted).toMatchObject({ state: "committed" });
      for (const cluster of clusters) expect(await containersOn(cluster)).toEqual([]);
    });
  },
);
