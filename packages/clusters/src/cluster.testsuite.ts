import { createKeyPair, newPlacementId } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Cluster, ClusterCapabilities, PlacedAgent, PlacementSpec } from "./cluster.port.ts";

/** One empty place, and the acts on it that are not the port's. */
export interface ClusterBed {
  /** A new driver on the same place: the orchestrator was killed and started again. */
  open(): Cluster;
  /** Returns once a process of the application runs. */
  startApplication(placed: PlacedAgent): Promise<void>;
  /** Returns once no process of the application runs; works without the agent too. */
  stopApplication(placed: PlacedAgent): Promise<void>;
  /** Kills the agent without warning and returns once it is dead; the application lives on. */
  killAgent(placed: PlacedAgent): Promise<void>;
  /** What is still in service or running of a placement, in words. */
  leftovers(placement: string): Promise<readonly string[]>;
}

export interface TestClusterOptions {
  readonly name: string;
  readonly setup: () => Promise<ClusterBed>;
  readonly teardown: (bed: ClusterBed) => Promise<void>;
  readonly capabilities: ClusterCapabilities;
  /** Whether processes of the application may live on when the agent is killed. */
  readonly outlivesAgent: boolean;
  /** Whether the place itself starts an agent again that died. */
  readonly restartsAgents?: boolean | undefined;
  /** Adds what only this place needs to a spec. */
  readonly complete?: ((spec: PlacementSpec) => PlacementSpec) | undefined;
  /** For one call of the port. */
  readonly timeoutMs?: number | undefined;
}

/** A spec that is complete and valid; `owner` makes another one of the same placement. */
export async function createPlacementSpec(
  placement: string = newPlacementId(),
  owner = "testsuite",
): Promise<PlacementSpec> {
  return {
    placement,
    agent: {
      application: "ledger",
      commandKey: (await createKeyPair()).publicKey,
      confirm: { url: "http://127.0.0.1:9/confirm" },
      storage: {
        endpoint: "http://127.0.0.1:9",
        region: "us-east-1",
        bucket: "bucket",
        prefix: "ledger/",
        owner,
        control: { file: "/nonexistent/control.json" },
        renewMs: 1_000,
      },
      workload: { command: ["sleep", "300"], environment: {} },
      hook: { graceMs: 1_000 },
      readiness: { path: "/ready", timeoutMs: 1_000 },
    },
  };
}

/** What every cluster must do, on the fake and on every real driver. */
export function testCluster({ name, setup, teardown, ...options }: TestClusterOptions): void {
  const { capabilities, outlivesAgent, restartsAgents = false } = options;
  const { complete = (spec) => spec, timeoutMs = 10_000 } = options;
  const createSpec = async (...which: Parameters<typeof createPlacementSpec>): Promise<PlacementSpec> =>
    complete(await createPlacementSpec(...which));

  describe(`cluster: ${name}`, () => {
    let bed: ClusterBed;
    let cluster: Cluster;

    beforeEach(async () => {
      bed = await setup();
      cluster = bed.open();
      await cluster.check({ timeoutMs });
    });
    afterEach(async () => await teardown(bed));

    const place = async (spec: PlacementSpec, driver = cluster): Promise<PlacedAgent> =>
      await driver.place({ spec, timeoutMs });
    const witness = async (placement: string) => await cluster.witness({ placement, timeoutMs });
    const remove = async (placement: string) => await cluster.remove({ placement, timeoutMs });

    it("shows its capabilities", () => {
      expect(cluster.capabilities).toEqual(capabilities);
    });

    it("passes its own check again and again", async () => {
      await cluster.check({ timeoutMs });
      expect(await cluster.list({ timeoutMs })).toEqual([]);
    });

    it("places an agent that is found and listed", async () => {
      const spec = await createSpec();
      const placed = await place(spec);
      expect(placed.endpoint.placement).toBe(spec.placement);
      expect(await cluster.find({ placement: spec.placement, timeoutMs })).toEqual(placed);
      expect(await cluster.list({ timeoutMs })).toEqual([spec.placement]);
    });

    it("finds the same agent when a placement is placed again, also by a driver that was started anew", async () => {
      const spec = await createSpec();
      const placed = await place(spec);
      expect(await place(spec)).toEqual(placed);
      expect(await place(structuredClone(spec), bed.open())).toEqual(placed);
      expect(await bed.open().find({ placement: spec.placement, timeoutMs })).toEqual(placed);
    });

    it("gives one agent to two drivers that place at once", async () => {
      const spec = await createSpec();
      const [one, other] = await Promise.all([place(spec), place(spec, bed.open())]);
      expect(one).toEqual(other);
    });

    it("keeps several placements apart", async () => {
      const [one, other] = [await place(await createSpec()), await place(await createSpec())];
      expect(one.endpoint.publicKey).not.toEqual(other.endpoint.publicKey);
      expect(one.applicationUrl).not.toBe(other.applicationUrl);
      const ids = [one.endpoint.placement, other.endpoint.placement];
      expect(await cluster.list({ timeoutMs })).toEqual(ids.toSorted());
    });

    it("refuses the same placement with another spec", async () => {
      const spec = await createSpec();
      const placed = await place(spec);
      const changed = { ...spec, agent: (await createSpec(spec.placement, "somebody else")).agent };
      await expect(place(changed)).rejects.toMatchObject({ code: "placement-conflict" });
      expect(await cluster.find({ placement: spec.placement, timeoutMs })).toEqual(placed);
    });

    it("finds null for a placement that was never made", async () => {
      expect(await cluster.find({ placement: newPlacementId(), timeoutMs })).toBeNull();
    });

    it.runIf(restartsAgents)("finds a dead agent started again by the place, with the same key", async () => {
      const spec = await createSpec();
      const placed = await place(spec);
      await bed.killAgent(placed);
      const again = await cluster.find({ placement: spec.placement, timeoutMs });
      expect(again?.endpoint.publicKey).toEqual(placed.endpoint.publicKey);
      expect(again?.endpoint.instance).not.toBe(placed.endpoint.instance);
      expect(again?.applicationUrl).toBe(placed.applicationUrl);
      expect(await place(spec)).toEqual(again);
    });

    it.runIf(!restartsAgents)(
      "says agent-unreachable for a dead agent and starts it again with the same key",
      async () => {
        const spec = await createSpec();
        const placed = await place(spec);
        await bed.killAgent(placed);
        const lookup = cluster.find({ placement: spec.placement, timeoutMs });
        await expect(lookup).rejects.toMatchObject({ code: "agent-unreachable" });
        const again = await place(spec);
        expect(again.endpoint.publicKey).toEqual(placed.endpoint.publicKey);
        expect(again.endpoint.instance).not.toBe(placed.endpoint.instance);
        expect(again.applicationUrl).toBe(placed.applicationUrl);
      },
    );

    it("removes a held placement with its agent, and again without complaint", async () => {
      const spec = await createSpec();
      await place(spec);
      await remove(spec.placement);
      expect(await bed.leftovers(spec.placement)).toEqual([]);
      expect(await cluster.list({ timeoutMs })).toEqual([]);
      expect(await cluster.find({ placement: spec.placement, timeoutMs })).toBeNull();
      await remove(spec.placement);
      await remove(newPlacementId());
    });

    it("removes a placement whose agent is dead", async () => {
      const placed = await place(await createSpec());
      await bed.killAgent(placed);
      await remove(placed.endpoint.placement);
      expect(await bed.leftovers(placed.endpoint.placement)).toEqual([]);
    });

    it("never uses a removed placement's id again", async () => {
      const spec = await createSpec();
      await place(spec);
      await remove(spec.placement);
      await expect(place(spec)).rejects.toMatchObject({ code: "placement-conflict" });
      expect(await cluster.list({ timeoutMs })).toEqual([]);
    });

    it("knows nothing of a placement that is absent", async () => {
      const seen = await witness(newPlacementId());
      expect(seen).toMatchObject({ state: "unknown", agentAlive: false, processes: [] });
      expect(seen.detail).not.toBeNull();
    });

    describe.runIf(capabilities.witnessesFromOutside)("witness", () => {
      it("says terminated, running, terminated around a start and a stop", async () => {
        const placed = await place(await createSpec());
        const { placement } = placed.endpoint;
        expect(await witness(placement)).toMatchObject({
          state: "terminated",
          agentAlive: true,
          processes: [],
        });
        await bed.startApplication(placed);
        const running = await witness(placement);
        expect(running).toMatchObject({ state: "running", agentAlive: true, detail: null });
        expect(running.processes.length).toBeGreaterThan(0);
        await bed.stopApplication(placed);
        expect(await witness(placement)).toMatchObject({
          state: "terminated",
          agentAlive: true,
          processes: [],
        });
      });

      it("sees the application of one placement only", async () => {
        const [one, other] = [await place(await createSpec()), await place(await createSpec())];
        await bed.startApplication(one);
        expect(await witness(one.endpoint.placement)).toMatchObject({ state: "running" });
        expect(await witness(other.endpoint.placement)).toMatchObject({ state: "terminated" });
      });

      it.runIf(outlivesAgent)(
        "sees an application that outlived its agent, and a new agent takes its place",
        async () => {
          const spec = await createSpec();
          const placed = await place(spec);
          await bed.startApplication(placed);
          await bed.killAgent(placed);
          expect(await witness(spec.placement)).toMatchObject({ state: "running", agentAlive: false });
          await expect(remove(spec.placement)).rejects.toMatchObject({ code: "wrong-state" });
          const again = await place(spec);
          expect(again.endpoint.publicKey).toEqual(placed.endpoint.publicKey);
          expect(await witness(spec.placement)).toMatchObject({ state: "running", agentAlive: true });
          await bed.stopApplication(again);
          expect(await witness(spec.placement)).toMatchObject({ state: "terminated" });
        },
      );

      it.runIf(restartsAgents)(
        "says terminated when the agent took the application with it and is held again",
        async () => {
          const spec = await createSpec();
          const placed = await place(spec);
          await bed.startApplication(placed);
          await bed.killAgent(placed);
          await place(spec);
          expect(await witness(spec.placement)).toMatchObject({ state: "terminated", agentAlive: true });
        },
      );

      it.runIf(!outlivesAgent && !restartsAgents)(
        "says terminated when the agent took the application with it, and a new agent is held",
        async () => {
          const spec = await createSpec();
          const placed = await place(spec);
          await bed.startApplication(placed);
          await bed.killAgent(placed);
          expect(await witness(spec.placement)).toMatchObject({ state: "terminated", agentAlive: false });
          const again = await place(spec);
          expect(again.endpoint.publicKey).toEqual(placed.endpoint.publicKey);
          expect(await witness(spec.placement)).toMatchObject({ state: "terminated", agentAlive: true });
        },
      );

      it("refuses to remove a placement whose application lives, and leaves it as it is", async () => {
        const placed = await place(await createSpec());
        const { placement } = placed.endpoint;
        await bed.startApplication(placed);
        await expect(remove(placement)).rejects.toMatchObject({ code: "wrong-state" });
        expect(await witness(placement)).toMatchObject({ state: "running", agentAlive: true });
        await bed.stopApplication(placed);
        await remove(placement);
        expect(await bed.leftovers(placement)).toEqual([]);
      });
    });
  });
}
