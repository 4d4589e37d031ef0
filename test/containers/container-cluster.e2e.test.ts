import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cluster, type PlacedAgent, type PlacementSpec, openContainerCluster } from "@baton/clusters";
import { createPlacementSpec, testCluster } from "@baton/clusters/testing";
import { containerSchema, parseAs } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildAgent } from "./agent-bundle.ts";
import { needsContainers } from "./container-bed.ts";
import { type ContainerHost, startHost } from "./container-host.ts";
import { findPodman } from "./podman.ts";
import { until } from "./until.ts";

const found = await findPodman();
const capabilities = { holdsStandby: true, witnessesFromOutside: true, reachesAgents: true };
const timeoutMs = 30_000;
const application = ["sh", "-c", "echo $$ >/tmp/application; exec sleep 300"];

describe("a Podman host", { skip: found.missing !== null, meta: needsContainers(found) }, () => {
  let directory = "";
  let host: ContainerHost;
  let agent = "";
  let clusters = 0;

  beforeAll(async () => {
    if (found.missing !== null) return;
    directory = await mkdtemp(join(tmpdir(), "baton-hosts-"));
    agent = await buildAgent();
    host = await startHost(found, found.nodeImage, directory);
    await writeFile(join(directory, "control.json"), '{"accessKeyId":"a","secretAccessKey":"b"}', {
      mode: 0o600,
    });
  }, 300_000);
  afterAll(async () => {
    if (found.missing !== null) return;
    await host.down();
    await rm(directory, { recursive: true, force: true });
  }, 120_000);

  const open = (name: string): Cluster =>
    openContainerCluster({ name, api: host.api, address: host.address, agent });
  const image = found.missing === null ? found.nodeImage : "missing";
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
  const containerOf = (placement: string): string => `baton-${placement}`;
  const exists = async (kind: "container" | "volume", name: string): Promise<boolean> =>
    host.podman([kind, "exists", name]).then(
      () => true,
      () => false,
    );
  const inside = (placement: string, command: readonly string[]): Promise<string> =>
    host.podman(["exec", containerOf(placement), ...command]);
  const startApplication = async ({ endpoint }: PlacedAgent): Promise<void> => {
    await host.podman(["exec", "--detach", containerOf(endpoint.placement), ...application]);
    await until("the application", async () =>
      (await inside(endpoint.placement, ["sh", "-c", "cat /proc/[0-9]*/comm"])).includes("sleep"),
    );
  };
  const killAgent = async ({ endpoint }: PlacedAgent): Promise<void> => {
    const name = containerOf(endpoint.placement);
    await host.ask("POST", `/containers/${name}/kill?signal=KILL`);
    await until("the end of the container", async () => {
      const { State } = (await host.ask("GET", `/containers/${name}/json`)) as {
        State: { Running: boolean };
      };
      return !State.Running;
    });
  };

  testCluster({
    name: "podman, with the agent",
    capabilities,
    outlivesAgent: false,
    complete,
    timeoutMs,
    setup: async () => {
      clusters += 1;
      const name = `podman-${clusters}`;
      return {
        open: () => open(name),
        startApplication,
        stopApplication: async ({ endpoint: { placement } }) => {
          await inside(placement, ["sh", "-c", "kill -9 $(cat /tmp/application)"]);
          await until(
            "the end of the application",
            async () => !(await inside(placement, ["sh", "-c", "cat /proc/[0-9]*/comm"])).includes("sleep"),
          );
        },
        killAgent,
        leftovers: async (placement) => {
          if (await exists("container", containerOf(placement))) return ["its container"];
          const volume = (await host.ask("GET", `/volumes/${containerOf(placement)}`)) as {
            Mountpoint: string;
          };
          return (await readFile(join(volume.Mountpoint, "key.json"), "utf8")) === ""
            ? []
            : ["its private key"];
        },
      };
    },
    teardown: async () => {
      await host.podman(["rm", "--all", "--force", "--time", "0"]);
    },
  });

  it("shows nothing of the key for the control prefix to whoever may look at its container", async () => {
    const cluster = open("quiet");
    const spec = complete(await createPlacementSpec());
    await writeFile(
      join(directory, "control.json"),
      '{"accessKeyId":"seen","secretAccessKey":"hunter2hunter2"}',
    );
    await cluster.place({ spec, timeoutMs });
    const name = containerOf(spec.placement);
    expect(await inside(spec.placement, ["cat", "/etc/baton/control.json"])).toContain("hunter2hunter2");
    expect(await inside(spec.placement, ["stat", "--format", "%a", "/etc/baton/control.json"])).toBe("400");
    const shown = [
      JSON.stringify(await host.ask("GET", `/containers/${name}/json`)),
      await inside(spec.placement, ["sh", "-c", "cat /proc/1/cmdline /proc/*/environ"]),
      await host.podman(["logs", name]),
    ];
    for (const text of shown) expect(text).not.toContain("hunter2");
    await cluster.remove({ placement: spec.placement, timeoutMs });
  });

  it("does not know what runs after a power cut, and takes no reboot for an end, until the agent is up again, held", async () => {
    const cluster = open("dark");
    const spec = complete(await createPlacementSpec());
    const { placement } = spec;
    const placed = await cluster.place({ spec, timeoutMs });
    await startApplication(placed);
    await host.reboot();
    expect(await cluster.list({ timeoutMs })).toEqual([placement]);
    expect(await cluster.witness({ placement, timeoutMs })).toMatchObject({
      state: "unknown",
      agentAlive: false,
    });
    await expect(cluster.remove({ placement, timeoutMs })).rejects.toMatchObject({ code: "wrong-state" });
    await expect(cluster.find({ placement, timeoutMs })).rejects.toMatchObject({ code: "agent-unreachable" });
    const again = await cluster.place({ spec, timeoutMs });
    expect(again.endpoint.publicKey).toEqual(placed.endpoint.publicKey);
    expect(again.endpoint.instance).not.toBe(placed.endpoint.instance);
    expect(await cluster.witness({ placement, timeoutMs })).toMatchObject({
      state: "terminated",
      agentAlive: true,
    });
    await cluster.remove({ placement, timeoutMs });
  });
});
