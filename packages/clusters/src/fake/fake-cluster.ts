import { AppError } from "@baton/protocol";
import { canonicalJson } from "../canonical-json.ts";
import type { Cluster, ClusterCapabilities, Witness } from "../cluster.port.ts";
import { type FakeMethod, type FakePlace, createFakePlacement, startFakeAgent } from "./fake-place.ts";

export interface FakeClusterOptions {
  readonly name: string;
  readonly place: FakePlace;
  readonly capabilities?: ClusterCapabilities | undefined;
}

/** A cluster in memory, for tests of what uses clusters. Its agents exist only as endpoints: nothing answers there. */
export function openFakeCluster({ name, place, capabilities }: FakeClusterOptions): Cluster {
  const call = async <T>(method: FakeMethod, placement: string | null, work: () => Promise<T> | T) => {
    place.onCall({ method, placement, moment: "before" });
    if (place.isUnavailable) {
      const detail = `cannot ${method} on cluster ${name}: it does not answer; try again later`;
      throw new AppError("cluster-unavailable", detail);
    }
    const result = await work();
    place.onCall({ method, placement, moment: "after" });
    return result;
  };

  const look = (placement: string): Witness => {
    const found = place.placements.get(placement);
    const observed = { agentAlive: (found?.endpoint ?? null) !== null, observedAt: new Date().toISOString() };
    const doubt = found === undefined ? `there is no placement ${placement}` : found.witnessDoubt;
    if (doubt !== null) return { ...observed, state: "unknown", processes: [], detail: doubt };
    if (found?.isApplicationRunning === true)
      return { ...observed, state: "running", processes: [{ pid: 2, command: "fake" }], detail: null };
    return { ...observed, state: "terminated", processes: [], detail: null };
  };

  return {
    name,
    capabilities: capabilities ?? { holdsStandby: true, witnessesFromOutside: true, reachesAgents: true },

    check: () => call("check", null, () => {}),

    place: ({ spec }) =>
      call("place", spec.placement, async () => {
        const fresh = await createFakePlacement(spec);
        const found = place.placements.get(spec.placement) ?? fresh;
        if (place.removed.has(spec.placement) || canonicalJson(found.spec) !== canonicalJson(spec)) {
          const detail = `cannot place ${spec.placement}: it was removed or has another spec; make a new placement`;
          throw new AppError("placement-conflict", detail);
        }
        place.placements.set(spec.placement, found);
        return {
          endpoint: found.endpoint ?? startFakeAgent(found),
          applicationUrl: found.applicationUrl,
        };
      }),

    find: ({ placement }) =>
      call("find", placement, () => {
        const found = place.placements.get(placement);
        if (found === undefined) return null;
        const { endpoint, applicationUrl } = found;
        if (endpoint !== null) return { endpoint, applicationUrl };
        const detail = `cannot reach the agent of placement ${placement}: it is dead; place it again`;
        throw new AppError("agent-unreachable", detail);
      }),

    witness: ({ placement }) => call("witness", placement, () => look(placement)),

    remove: ({ placement }) =>
      call("remove", placement, () => {
        if (!place.placements.has(placement)) return;
        const { state } = look(placement);
        if (state !== "terminated") {
          const detail = `cannot remove placement ${placement}: its application is ${state}; stop it first`;
          throw new AppError("wrong-state", detail);
        }
        place.placements.delete(placement);
        place.removed.add(placement);
      }),

    list: () => call("list", null, () => [...place.placements.keys()].toSorted()),
  };
}
