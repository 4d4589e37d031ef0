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
const capabilities = {
  holdsStandby: true,
  witnessesFromOutside: true,
  reachesAgents: true,
};
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
    // By the command: the API waits for more than the end.
    await host.podman(["kill", "--signal", "KILL", name]);
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

  describe("what somebody else made", () => {
    const cluster = (): Cluster => open("polite");
    const conflict = { code: "placement-conflict" };

    it("keeps its name: a container without our labels is not used, changed or removed, and nothing is left beside it", async () => {
      const spec = complete(await createPlacementSpec());
      const { placement } = spec;
      const name = containerOf(placement);
      await host.podman([
        "create",
        "--name",
        name,
        "--label",
        `baton.placement=${placement}`,
        image,
        "sleep",
        "9",
      ]);
      const before = JSON.stringify(await host.ask("GET", `/containers/${name}/json`));
      await expect(cluster().place({ spec, timeoutMs })).rejects.toMatchObject(conflict);
      await expect(cluster().place({ spec, timeoutMs })).rejects.toThrow(`container ${name}`);
      await expect(cluster().find({ placement, timeoutMs })).rejects.toMatchObject(conflict);
      await expect(cluster().witness({ placement, timeoutMs })).rejects.toMatchObject(conflict);
      await expect(cluster().remove({ placement, timeoutMs })).rejects.toMatchObject(conflict);
      expect(await cluster().list({ timeoutMs })).toEqual([]);
      expect(JSON.stringify(await host.ask("GET", `/containers/${name}/json`))).toBe(before);
      expect(await exists("volume", name)).toBe(false);
      await host.podman(["rm", name]);
    });

    it("keeps its volume: no container is made on it", async () => {
      const spec = complete(await createPlacementSpec());
      const name = containerOf(spec.placement);
      await host.podman(["volume", "create", name]);
      await expect(cluster().place({ spec, timeoutMs })).rejects.toMatchObject(conflict);
      expect(await exists("container", name)).toBe(false);
      await host.podman(["volume", "rm", name]);
    });
  });

  it.each([
    ["an image that is not there", { image: "localhost/nothing:1", pull: "never" }, "it is not there"],
    ["a registry that is not there", { image: "127.0.0.1:1/nothing:1" }, "pull image 127.0.0.1:1/nothing:1"],
    ["a network that is not there", { image, network: "nowhere" }, "nowhere"],
  ])("makes nothing of %s, and says so", async (_, container, words) => {
    const cluster = open("careful");
    const spec = {
      ...complete(await createPlacementSpec()),
      container: parseAs(containerSchema, container, "the container"),
    };
    const place = cluster.place({ spec, timeoutMs });
    await expect(place).rejects.toMatchObject({ code: "cluster-unavailable" });
    await expect(place).rejects.toThrow(words);
    expect(await cluster.list({ timeoutMs })).toEqual([]);
  });

  it("says how an agent ended that does not come up, and takes its container away again", async () => {
    const cluster = open("short");
    const spec = {
      ...complete(await createPlacementSpec()),
      container: parseAs(containerSchema, { image, agent: ["sh", "-c", "echo no agent here; exit 7"] }, "it"),
    };
    const place = cluster.place({ spec, timeoutMs });
    await expect(place).rejects.toThrow("its agent ended with exit status 7, and said: no agent here");
    await cluster.remove({ placement: spec.placement, timeoutMs });
    expect(await exists("container", containerOf(spec.placement))).toBe(false);
  });

  it("runs as an ordinary user, whose files and state are its own, within the bounds it is given", async () => {
    const cluster = open("bounded");
    const bounds = { user: "1000:1000", memoryBytes: 268_435_456, cpus: 1.5, processes: 64, port: 9_000 };
    const spec = {
      ...complete(await createPlacementSpec()),
      container: parseAs(containerSchema, { image, pull: "never", ...bounds }, "the container"),
    };
    await cluster.place({ spec, timeoutMs });
    const name = containerOf(spec.placement);
    expect(await inside(spec.placement, ["id", "-u"])).toBe("1000");
    expect(await inside(spec.placement, ["stat", "--format", "%u %a", "/var/lib/baton"])).toBe("1000 700");
    const { HostConfig } = (await host.ask("GET", `/containers/${name}/json`)) as { HostConfig: object };
    expect(HostConfig).toMatchObject({
      Memory: bounds.memoryBytes,
      NanoCpus: 1_500_000_000,
      PidsLimit: bounds.processes,
      RestartPolicy: { Name: "no" },
    });
    await cluster.remove({ placement: spec.placement, timeoutMs });
  });
});
