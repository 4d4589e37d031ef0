import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cluster, type PlacedAgent, type PlacementSpec, openKubernetesCluster } from "@baton/clusters";
import { testCluster } from "@baton/clusters/testing";
import { containerSchema, parseAs } from "@baton/protocol";
import { afterAll, beforeAll, describe } from "vitest";
import { buildAgent } from "../containers/agent-bundle.ts";
import { until } from "../containers/until.ts";
import { type KubeCluster, findKube, needsKube, startKube } from "./kube-bed.ts";

const found = await findKube();
const capabilities = { holdsStandby: true, witnessesFromOutside: true, reachesAgents: true };
const timeoutMs = 60_000;
const application = "echo $$ >/tmp/application; exec sleep 300";

describe("a cluster of Kubernetes", { skip: found.missing !== null, meta: needsKube(found) }, () => {
  let directory = "";
  let kube: KubeCluster;
  let agent = "";
  let clusters = 0;
  const image = found.missing === null ? found.podman.nodeImage : "missing";

  beforeAll(async () => {
    if (found.missing !== null) return;
    directory = await mkdtemp(join(tmpdir(), "baton-kube-"));
    agent = await buildAgent();
    kube = await startKube(found, "a");
    await kube.load(image);
    await writeFile(join(directory, "control.json"), '{"accessKeyId":"a","secretAccessKey":"b"}', {
      mode: 0o600,
    });
  }, 300_000);
  afterAll(async () => {
    if (found.missing !== null) return;
    await kube.down();
    await rm(directory, { recursive: true, force: true });
  }, 120_000);

  const open = (name: string): Cluster =>
    openKubernetesCluster({ name, kubeconfig: kube.kubeconfig, namespace: kube.namespace, agent });
  const complete = (spec: PlacementSpec): PlacementSpec => ({
    ...spec,
    agent: {
      ...spec.agent,
      storage: spec.agent.storage && {
        ...spec.agent.storage,
        control: { file: join(directory, "control.json") },
      },
    },
    container: parseAs(containerSchema, { image, pull: "never" }, "the container"),
  });
  const podOf = (placement: string): string => `ledger-${placement.slice(-8)}`;
  const inside = (placement: string, command: readonly string[]): Promise<string> =>
    kube.kubectl(["exec", podOf(placement), "--container", "application", "--", ...command]);
  const commandsIn = (placement: string): Promise<string> =>
    inside(placement, ["sh", "-c", "cat /proc/[0-9]*/comm 2>/dev/null; true"]);

  testCluster({
    name: "kubernetes, with the agent put in, by the API server's proxy",
    capabilities,
    outlivesAgent: false,
    restartsAgents: true,
    complete,
    timeoutMs,
    setup: async () => {
      clusters += 1;
      const name = `kube-${clusters}`;
      return {
        open: () => open(name),
        startApplication: async ({ endpoint: { placement } }) => {
          await inside(placement, ["setsid", "--fork", "sh", "-c", application]);
          await until("the application", async () => (await commandsIn(placement)).includes("sleep"));
        },
        stopApplication: async ({ endpoint: { placement } }) => {
          await inside(placement, ["sh", "-c", "kill -9 $(cat /tmp/application)"]);
        },
        killAgent: async ({ endpoint: { placement } }: PlacedAgent) => {
          const pod = podOf(placement);
          await kube.killContainer(pod);
          await until(
            "the node's word on its end",
            async () => ((await kube.see("pod", pod))?.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0,
          );
        },
        leftovers: async (placement) => {
          const secret = await kube.see("secret", `baton-${placement}`);
          return [
            ...((await kube.see("pod", podOf(placement))) === null ? [] : ["its pod"]),
            ...(secret?.data?.["control.json"] === undefined ? [] : ["its key"]),
          ];
        },
      };
    },
    teardown: async () => {},
  });
});
