import { newPlacementId } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { createPlacementSpec, testCluster } from "../cluster.testsuite.ts";
import { openFakeCluster } from "./fake-cluster.ts";
import { createFakePlace, fakePlacement } from "./fake-place.ts";

const timeoutMs = 1_000;
const capabilities = { holdsStandby: true, witnessesFromOutside: true, reachesAgents: true };

testCluster({
  name: "fake",
  capabilities,
  outlivesAgent: true,
  setup: async () => {
    const place = createFakePlace();
    return {
      open: () => openFakeCluster({ name: "fake", place }),
      startApplication: async ({ endpoint }) => {
        fakePlacement(place, endpoint.placement).isApplicationRunning = true;
      },
      stopApplication: async ({ endpoint }) => {
        fakePlacement(place, endpoint.placement).isApplicationRunning = false;
      },
      killAgent: async ({ endpoint }) => {
        fakePlacement(place, endpoint.placement).endpoint = null;
      },
      leftovers: async (placement) => (place.placements.has(placement) ? ["in service"] : []),
    };
  },
  teardown: async () => {},
});

describe("faults of the fake cluster", () => {
  it("makes every call fail while it is unavailable", async () => {
    const place = createFakePlace();
    const cluster = openFakeCluster({ name: "fake", place });
    place.isUnavailable = true;
    const placement = newPlacementId();
    await expect(cluster.check({ timeoutMs })).rejects.toMatchObject({ code: "cluster-unavailable" });
    await expect(cluster.find({ placement, timeoutMs })).rejects.toMatchObject({
      code: "cluster-unavailable",
    });
    place.isUnavailable = false;
    await cluster.check({ timeoutMs });
  });

  it("does what was asked and loses the answer", async () => {
    const place = createFakePlace();
    const cluster = openFakeCluster({ name: "fake", place });
    const spec = await createPlacementSpec();
    place.onCall = ({ method, moment }) => {
      if (method === "place" && moment === "after") throw new Error("lost");
    };
    await expect(cluster.place({ spec, timeoutMs })).rejects.toThrow("lost");
    expect(await cluster.list({ timeoutMs })).toEqual([spec.placement]);
  });

  it("does not know what runs while there is a doubt, and removes nothing then", async () => {
    const place = createFakePlace();
    const cluster = openFakeCluster({ name: "fake", place });
    const spec = await createPlacementSpec();
    const { placement } = spec;
    await cluster.place({ spec, timeoutMs });
    fakePlacement(place, placement).witnessDoubt = "the node does not answer";
    expect(await cluster.witness({ placement, timeoutMs })).toMatchObject({ state: "unknown" });
    await expect(cluster.remove({ placement, timeoutMs })).rejects.toMatchObject({ code: "wrong-state" });
  });
});
