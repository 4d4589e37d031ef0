import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { newPlacementId } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createPlacementSpec, testCluster } from "../cluster.testsuite.ts";
import {
  type ProcessBed,
  createProcessBed,
  fixtureAgent,
  removeProcessBed,
} from "../fixtures/process-bed.ts";

const timeoutMs = 10_000;

testCluster({
  name: "process, with the fixture agent",
  capabilities: { holdsStandby: true, witnessesFromOutside: true, reachesAgents: true },
  outlivesAgent: true,
  setup: createProcessBed,
  teardown: async (bed) => await removeProcessBed(bed as ProcessBed),
});

describe("process cluster", () => {
  let bed: ProcessBed;
  beforeEach(async () => {
    bed = await createProcessBed();
  });
  afterEach(async () => await removeProcessBed(bed));

  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
  const jsonOf = async (path: string) => JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;

  it("keeps configuration, state and log to its own user", async () => {
    const spec = await createPlacementSpec();
    const placed = await bed.open().place({ spec, timeoutMs });
    const root = join(bed.directory, "placements", spec.placement);
    expect(await modeOf(root)).toBe(0o700);
    expect(await modeOf(join(root, "agent.json"))).toBe(0o600);
    expect(await modeOf(join(root, "state"))).toBe(0o700);
    expect(await modeOf(join(root, "logs", "agent.log"))).toBe(0o600);
    const config = await jsonOf(join(root, "agent.json"));
    expect(config).toMatchObject({ ...spec.agent, version: 1, placement: spec.placement });
    expect(placed.applicationUrl).toBe(`http://127.0.0.1:${String(config["applicationPort"])}`);
  });

  it("gives the agent its own session and nothing of the orchestrator's environment", async () => {
    process.env["BATON_TEST_SECRET"] = "secret";
    try {
      const { endpoint } = await bed.open().place({ spec: await createPlacementSpec(), timeoutMs });
      const environment = (await readFile(`/proc/${endpoint.pid}/environ`, "utf8")).split("\0");
      const names = environment.filter((entry) => entry !== "").map((entry) => entry.split("=")[0]);
      expect(["PATH", "HOME", "LANG", "TMPDIR"]).toEqual(expect.arrayContaining(names));
      const line = await readFile(`/proc/${endpoint.pid}/stat`, "utf8");
      expect(line.split(" ")[5]).toBe(String(endpoint.pid));
    } finally {
      delete process.env["BATON_TEST_SECRET"];
    }
  });

  it("keeps configuration and receipts of a removed placement, but not its key", async () => {
    const spec = await createPlacementSpec();
    const cluster = bed.open();
    await cluster.place({ spec, timeoutMs });
    await writeFile(join(bed.directory, "placements", spec.placement, "state", "receipt.json"), "{}");
    await cluster.remove({ placement: spec.placement, timeoutMs });
    const kept = join(bed.directory, "removed", spec.placement);
    expect(await readdir(kept)).toEqual(["agent.json", "logs", "spawn.json", "state"]);
    expect(existsSync(join(kept, "state", "receipt.json"))).toBe(true);
    expect(existsSync(join(kept, "state", "key.json"))).toBe(false);
  });

  it("finishes a removal that was interrupted before the key was deleted", async () => {
    const { placement } = await createPlacementSpec();
    const cluster = bed.open();
    await cluster.check({ timeoutMs });
    const key = join(bed.directory, "removed", placement, "state", "key.json");
    await mkdir(join(key, ".."), { recursive: true });
    await writeFile(key, "{}");
    await cluster.remove({ placement, timeoutMs });
    expect(existsSync(key)).toBe(false);
  });

  it("takes no notice of a placement whose making was interrupted, and clears it at the removal", async () => {
    const spec = await createPlacementSpec();
    const cluster = bed.open();
    await cluster.check({ timeoutMs });
    const half = join(bed.directory, "placements", `${spec.placement}.new-0123`);
    await mkdir(join(half, "state"), { recursive: true });
    expect(await cluster.list({ timeoutMs })).toEqual([]);
    await cluster.place({ spec, timeoutMs });
    await cluster.remove({ placement: spec.placement, timeoutMs });
    expect(await readdir(join(bed.directory, "placements"))).toEqual([]);
  });

  it("sees an application without a cookie by the session of its agent, also when that is dead", async () => {
    const spec = await createPlacementSpec();
    const { placement } = spec;
    const cluster = bed.open();
    const placed = await cluster.place({ spec, timeoutMs });
    await bed.startApplication(placed, "cleared");
    const seen = await cluster.witness({ placement, timeoutMs });
    expect(seen).toMatchObject({ state: "running", processes: [{ command: "sleep" }] });
    await bed.killAgent(placed);
    expect(await cluster.witness({ placement, timeoutMs })).toMatchObject({ state: "running" });
    await bed.stopApplication(placed);
    expect(await cluster.witness({ placement, timeoutMs })).toMatchObject({ state: "terminated" });
  });

  it("leaves one agent only when several drivers placed at once", async () => {
    const spec = await createPlacementSpec();
    await Promise.all([1, 2, 3].map(async () => await bed.open().place({ spec, timeoutMs })));
    const commands = await Promise.all(
      (await readdir("/proc"))
        .filter((name) => /^\d+$/.test(name))
        .map(async (pid) => await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
    );
    expect(commands.filter((command) => command.includes(spec.placement))).toHaveLength(1);
  });

  it("kills an agent that does not end by SIGTERM", async () => {
    const spec = await createPlacementSpec();
    const cluster = bed.open();
    const placed = await cluster.place({ spec, timeoutMs });
    await bed.askAgent(placed, "/fixture/ignore-sigterm");
    await cluster.remove({ placement: spec.placement, timeoutMs: 1_500 });
    expect(await bed.leftovers(spec.placement)).toEqual([]);
  });

  it("does not know what runs when the records cannot be read, and removes nothing then", async () => {
    const spec = await createPlacementSpec();
    const { placement } = spec;
    const cluster = bed.open();
    const placed = await cluster.place({ spec, timeoutMs });
    const config = join(bed.directory, "placements", placement, "agent.json");
    await rename(config, `${config}.gone`);
    expect(await cluster.witness({ placement, timeoutMs })).toMatchObject({ state: "unknown" });
    await expect(cluster.find({ placement, timeoutMs })).rejects.toMatchObject({
      code: "cluster-unavailable",
    });
    await expect(cluster.remove({ placement, timeoutMs })).rejects.toMatchObject({
      code: "cluster-unavailable",
    });
    await rename(`${config}.gone`, config);
    expect(await cluster.find({ placement, timeoutMs })).toEqual(placed);
  });

  it("takes a missing directory for a missing disk, never for an empty cluster", async () => {
    const cluster = bed.open();
    const placement = newPlacementId();
    const unavailable = { code: "cluster-unavailable" };
    await expect(cluster.list({ timeoutMs })).rejects.toMatchObject(unavailable);
    await expect(cluster.find({ placement, timeoutMs })).rejects.toMatchObject(unavailable);
    await expect(cluster.remove({ placement, timeoutMs })).rejects.toMatchObject(unavailable);
    expect(await cluster.witness({ placement, timeoutMs })).toMatchObject({ state: "unknown" });
  });

  it("fails its check when the agent's program is missing", async () => {
    const cluster = bed.open([...fixtureAgent.slice(0, 1), "/nonexistent/main.ts"]);
    const check = cluster.check({ timeoutMs });
    await expect(check).rejects.toMatchObject({ code: "cluster-unavailable" });
    await expect(check).rejects.toThrow("/nonexistent/main.ts");
  });

  it("says how an agent ended that does not come up", async () => {
    const cluster = bed.open(["/bin/false"]);
    const place = cluster.place({ spec: await createPlacementSpec(), timeoutMs });
    await expect(place).rejects.toMatchObject({ code: "cluster-unavailable" });
    await expect(place).rejects.toThrow("exit status 1");
  });

  it("gives up at the deadline on an agent that never answers, and does not start a second one", async () => {
    const spec = await createPlacementSpec();
    const cluster = bed.open(["/bin/sh", "-c", "exec sleep 300"]);
    const spawned = join(bed.directory, "placements", spec.placement, "spawn.json");
    await expect(cluster.place({ spec, timeoutMs: 500 })).rejects.toThrow("waiting for its agent to answer");
    const first = await jsonOf(spawned);
    await expect(cluster.place({ spec, timeoutMs: 500 })).rejects.toMatchObject({
      code: "cluster-unavailable",
    });
    expect(await jsonOf(spawned)).toEqual(first);
    expect(await cluster.witness({ placement: spec.placement, timeoutMs })).toMatchObject({
      state: "terminated",
      agentAlive: true,
    });
  });

  it("refuses an id that is not a placement's, because it becomes a path", async () => {
    const remove = bed.open().remove({ placement: "../removed", timeoutMs });
    await expect(remove).rejects.toMatchObject({ code: "invalid-request" });
  });
});
