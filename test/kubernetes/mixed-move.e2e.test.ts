/*
 * P1, P2, P3 between kinds of clusters: the ledger moves from a Podman host to Kubernetes and back. By hand with BATON_KUBE_MIXED=1: each kind has a move of
 * its own in every test run.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Harbour, openHarbour } from "@baton/example-ledger/demo";
import { containerSchema, parseAs } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildAgent } from "../containers/agent-bundle.ts";
import { type ContainerHost, startHost } from "../containers/container-host.ts";
import { buildLedger, ledgerImage } from "../containers/ledger-image.ts";
import { moveLedger } from "../containers/move-ledger.ts";
import { type KubeCluster, findKube, startKube } from "./kube-bed.ts";
import { ledgerObjects } from "./ledger-objects.ts";

const found = await findKube();
const isWanted = process.env["BATON_KUBE_MIXED"] === "1";
const reason = found.missing ?? "it takes minutes: by hand with BATON_KUBE_MIXED=1";

describe(
  "the ledger on a Podman host and a cluster of Kubernetes",
  {
    skip: found.missing !== null || !isWanted,
    meta: { needs: { part: "kube", reason, nowhere: true } },
  },
  () => {
    let directory = "";
    let host: ContainerHost;
    let kube: KubeCluster;
    let harbour: Harbour;

    beforeAll(async () => {
      if (found.missing !== null || !isWanted) return;
      directory = await mkdtemp(join(tmpdir(), "baton-mixed-"));
      const agent = await buildAgent();
      await buildLedger(found.podman, directory);
      host = await startHost(found.podman, ledgerImage, directory);
      kube = await startKube(found, "b");
      await kube.load(ledgerImage);
      const { api, address } = host;
      const { kubeconfig, namespace } = kube;
      const common = { kind: "cluster", agent } as const;
      harbour = await openHarbour({
        changes: {
          container: parseAs(containerSchema, { image: ledgerImage, pull: "never" }, "the container"),
          kubernetes: ledgerObjects,
          workload: { command: ["node", "/app/ledger.mjs"], environment: { LISTEN_HOST: "0.0.0.0" } },
        },
        elsewhere: {
          clusters: [
            { ...common, name: "harbor-a", driver: "podman", api, address, registries: [] },
            { ...common, name: "harbor-b", driver: "kubernetes", kubeconfig, namespace },
          ],
          storeHost: kube.outside,
          end: async () => {},
        },
      });
    }, 400_000);
    afterAll(async () => {
      await harbour?.close();
      await kube?.down();
      await host?.down();
      if (directory !== "") await rm(directory, { recursive: true, force: true });
    }, 300_000);

    it("moves there and back, though the orchestrator is killed, and loses nothing", async () => {
      const moved: string[] = [];
      await moveLedger(harbour, {
        moves: 2,
        async afterMove({ to, from }) {
          moved.push(to);
          const pods = (await kube.kubectl(["get", "pods", "--output", "name"])).split("\n").filter(Boolean);
          const containers = (await host.ask("GET", "/containers/json?all=true")) as readonly object[];
          const there = { "harbor-a": containers.length, "harbor-b": pods.length };
          expect([there[from], there[to]]).toEqual([0, 1]);
        },
      });
      expect(moved).toEqual(["harbor-b", "harbor-a"]);
    }, 400_000);
  },
);
