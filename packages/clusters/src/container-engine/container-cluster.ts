import { access, constants } from "node:fs/promises";
import { AppError, type ContainerManifest, accepts, placementIdSchema } from "@baton/protocol";
import type { Cluster, ClusterCapabilities } from "../cluster.port.ts";
import { type Deadline, pollUntil, reasonOf, within } from "../deadline.ts";
import { type Place, listContainers } from "./containers.ts";
import { type EngineTls, openEngine } from "./engine.ts";
import { type Registry, findImage } from "./images.ts";
import { namesOf } from "./names.ts";
import { placeContainer } from "./place-container.ts";
import { reachAgent } from "./reach-agent.ts";
import { removeContainer } from "./remove-container.ts";
import { witnessContainer } from "./witness-container.ts";

export interface ContainerClusterOptions {
  readonly name: string;
  /** `unix:///path`, or `https://host:port` with `tls`. */
  readonly api: string;
  readonly tls?: EngineTls | undefined;
  /** Where the engine's published ports answer, for the orchestrator and for clients. */
  readonly address: string;
  /** Absolute path of the agent as one file, which is put into containers whose image has none. */
  readonly agent?: string | undefined;
  readonly registries?: readonly Registry[] | undefined;
  readonly log?: ((message: string, facts: Readonly<Record<string, unknown>>) => void) | undefined;
}

const capabilities: ClusterCapabilities = {
  holdsStandby: true,
  witnessesFromOutside: true,
  reachesAgents: true,
};

/**
 * A cluster of containers, behind the API that Docker and Podman share. A placement is one container `baton-<id>` with the agent below an init, and the
 * volume `baton-<id>` with its state; both bear labels, and what does not is never touched. All that the driver knows is in the engine.
 */
export function openContainerCluster(options: ContainerClusterOptions): Cluster {
  const { name, address, agent, registries = [], log } = options;
  const place: Place = { name, engine: openEngine(options) };
  const run = <T>(timeoutMs: number, what: string, work: (deadline: Deadline) => Promise<T>): Promise<T> =>
    within(timeoutMs, what, work, "check the engine");

  return {
    name,
    capabilities,

    check: ({ timeoutMs }) =>
      run(timeoutMs, `use cluster ${name}`, async (deadline) => {
        deadline.begin("asking its engine for its version");
        await place.engine.kind(deadline.signal);
        await listContainers(place, deadline.signal);
        deadline.begin("looking for the agent");
        if (agent === undefined) return;
        await access(agent, constants.R_OK).catch((error: unknown) => {
          const detail = `cannot use cluster ${name}: the agent ${agent} cannot be read (${reasonOf(error)}); build it, or correct "agent"`;
          throw new AppError("cluster-unavailable", detail);
        });
      }),

    inspect: ({ workload: _, container, timeoutMs }) =>
      run(timeoutMs, `look at what is on ${name}`, async (deadline) => {
        deadline.begin("looking for the image");
        if (container === undefined) return { freeBytes: null, missing: ["container.image"] };
        const { image, pull } = container;
        const isThere = pull === "missing" || (await findImage(place, image, deadline.signal)) !== null;
        return { freeBytes: null, missing: isThere ? [] : [`image "${image}"`] };
      }),

    place: ({ spec, timeoutMs }) =>
      run(timeoutMs, `place ${spec.placement} on ${name}`, async (deadline) => {
        const container = containerOf(spec.placement, spec.container);
        const params = { spec, container, address, agent: agent ?? null, registries };
        const placed = await placeContainer(place, params, deadline);
        log?.("placement up", { cluster: name, placement: spec.placement });
        return placed;
      }),

    find: ({ placement, timeoutMs }) =>
      run(timeoutMs, `find placement ${placement} on ${name}`, async (deadline) => {
        namesOf(placement);
        deadline.begin("waiting for its agent to answer");
        const reached = await pollUntil(deadline.signal, async () => {
          const seen = await reachAgent(place, { placement, address }, deadline.signal);
          return seen === "silent" ? undefined : seen;
        });
        if (!("stopped" in reached)) return reached;
        if (reached.stopped === null) return null;
        const detail = `cannot reach the agent of placement ${placement} on ${name}: its container is "${reached.stopped.state.status}"; place it again`;
        throw new AppError("agent-unreachable", detail);
      }),

    witness: ({ placement, timeoutMs }) =>
      run(timeoutMs, `witness placement ${placement} on ${name}`, (deadline) =>
        witnessContainer(place, placement, deadline),
      ),

    remove: ({ placement, timeoutMs }) =>
      run(timeoutMs, `remove placement ${placement} from ${name}`, async (deadline) => {
        await removeContainer(place, placement, deadline);
        log?.("placement removed", { cluster: name, placement });
      }),

    list: ({ timeoutMs }) =>
      run(timeoutMs, `list the placements of ${name}`, async (deadline) => {
        deadline.begin("listing its containers");
        const { placements } = await listContainers(place, deadline.signal);
        return placements.filter((id) => accepts(placementIdSchema, id));
      }),
  };
}

function containerOf(placement: string, container: ContainerManifest | undefined): ContainerManifest {
  if (container !== undefined) return container;
  const detail = `cannot place ${placement}: its application does not say what container it runs in; add "container" with an image`;
  throw new AppError("invalid-request", detail);
}
