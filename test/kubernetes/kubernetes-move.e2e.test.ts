/*
 * P1, P2, P3 on Kubernetes: the ledger moves between two real clusters and back while a writer uses it, and the orchestrator is killed on the way.
 * After the first move somebody makes the source's workload anew by hand, beside the one that serves.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClusterName, type Harbour, clusters, openHarbour } from "@baton/example-ledger/demo";
import type { ClusterManifest } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildAgent } from "../containers/agent-bundle.ts";
import { buildLedger, ledgerImage } from "../containers/ledger-image.ts";
import { moveLedger } from "../containers/move-ledger.ts";
import { until } from "../containers/until.ts";
import { type KubeCluster, findKube, needsKube, startKube } from "./kube-bed.ts";
import { ledgerObjects } from "./ledger-objects.ts";

const found = await findKube();
/** There and back once in every test run. */
const moves = Number(process.env["BATON_KUBE_MOVES"] ?? "2");

const takeOut = JSON.stringify(
  ["agent.json", "control.json"].map((name) => ({ op: "remove", path: `/data/${name}` })),
);

describe(
  "the ledger on two clusters of Kubernetes",
  { skip: found.missing !== null, meta: needsKube(found) },
  () => {
    let directory = "";
    let kubes: readonly KubeCluster[] = [];
    let harbour: Harbour;

    beforeAll(async () => {
      if (found.missing !== null) return;
      directory = await mkdtemp(join(tmpdir(), "baton-kube-"));
      const agent = await buildAgent();
      await buildLedger(found.podman, directory);
      kubes = [await startKube(found, "a"), await startKube(found, "b")];
      for (const kube of kubes) await kube.load(ledgerImage);
      const declared = kubes.map(({ kubeconfig, namespace }, n): ClusterManifest => ({
        kind: "cluster",
        name: clusters[n] ?? "",
        driver: "kubernetes",
        kubeconfig,
        namespace,
        agent,
      }));
      harbour = await openHarbour({
        changes: {
          kubernetes: ledgerObjects,
          workload: { command: ["node", "/app/ledger.mjs"], environment: {} },
        },
        elsewhere: { clusters: declared, storeHost: kubes[0]?.outside ?? "", end: async () => {} },
      });
    }, 400_000);
    afterAll(async () => {
      await harbour?.close();
      for (const kube of kubes) await kube.down();
      if (directory !== "") await rm(directory, { recursive: true, force: true });
    }, 300_000);

    const on = (cluster: string): KubeCluster =>
      kubes[clusters.indexOf(cluster as ClusterName)] as KubeCluster;
    const podsOn = async (cluster: string): Promise<readonly string[]> =>
      (await on(cluster).kubectl(["get", "pods", "--output", "name"])).split("\n").filter(Boolean);

    /** The placement's Deployment and secret, as a backup or a repository of manifests has them. */
    const copyOf = async (cluster: string, placement: string) => {
      const kube = on(cluster);
      const deploy = [
        "get",
        "deployment",
        "--selector",
        `baton.dev/placement=${placement}`,
        "--output",
        "json",
      ];
      const { items } = JSON.parse(await kube.kubectl(deploy)) as {
        items: [{ metadata: object; spec: object }];
      };
      const [{ metadata, spec }] = items;
      const { name, labels } = metadata as { name: string; labels: object };
      const secret = await kube.see("secret", `baton-${placement}`);
      return {
        deployment: { apiVersion: "apps/v1", kind: "Deployment", metadata: { name, labels }, spec },
        data: secret?.data ?? {},
      };
    };
    /** Somebody makes the source anew by hand, with all that it had: its agent is held, and nothing of the application begins. */
    const revive = async (
      cluster: string,
      placement: string,
      { deployment: made, data }: Awaited<ReturnType<typeof copyOf>>,
    ): Promise<void> => {
      const kube = on(cluster);
      await kube.kubectl(["patch", "secret", `baton-${placement}`, "--patch", JSON.stringify({ data })]);
      const file = join(directory, "revived.json");
      await writeFile(file, JSON.stringify(made));
      await kube.kubectl(["apply", "--filename", file]);
      const inside = async (command: string): Promise<string> =>
        kube.kubectl(["exec", `deployment/${made.metadata.name}`, "--", "sh", "-c", command]).catch(() => "");
      await until("its agent", async () =>
        (await inside("cat /var/lib/baton/state/endpoint.json")).includes(placement),
      );
      // As long as the application would need, many times over.
      for (let look = 0; look < 5; look += 1) {
        const processes = await inside("cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
        expect(processes).toContain("baton-agent.cjs run");
        expect(processes).not.toContain("ledger.mjs");
      }
      const [pod = ""] = await podsOn(cluster);
      expect((await kube.see("pod", pod.replace("pod/", "")))?.status?.containerStatuses?.[0]).toMatchObject({
        ready: false,
      });
      await kube.kubectl(["delete", "deployment", made.metadata.name, "--wait=false"]);
      await kube.kubectl(["patch", pod, "--type=merge", "--patch", '{"metadata":{"finalizers":null}}']);
      await kube.kubectl(["patch", "secret", `baton-${placement}`, "--type=json", "--patch", takeOut]);
      await until("its end", async () => (await podsOn(cluster)).length === 0);
    };

    it("moves there and back, though the orchestrator is killed, and loses nothing", async () => {
      await moveLedger(harbour, {
        moves,
        beforeMove: ({ from, source }) => copyOf(from, source),
        async afterMove({ number, from, source }, copy) {
          // The source's pod and its Deployment are gone, and what stays of it is its secret, with the agent's log and without a key.
          expect(await podsOn(from)).toEqual([]);
          const left = await on(from).see("secret", `baton-${source}`);
          expect(Object.keys(left?.data ?? {})).toEqual(["agent.log"]);
          if (number === 0 && copy !== undefined) await revive(from, source, copy);
        },
      });
      for (const cluster of clusters) expect(await podsOn(cluster)).toEqual([]);
    }, 400_000);
  },
);
