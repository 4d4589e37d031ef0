import { access, constants, mkdir } from "node:fs/promises";
import { AppError } from "@baton/protocol";
import type { Cluster, ClusterCapabilities } from "../cluster.port.ts";
import { endAgents } from "./agent-process.ts";
import { knownAgents, livingOf } from "./agent-record.ts";
import { type Deadline, pollUntil, within } from "../deadline.ts";
import { findUnusable } from "./executable.ts";
import { inspectRoom } from "./inspect-room.ts";
import { ensureAgent, ensurePlacement, reachAgent } from "./place-agent.ts";
import { type PlacementPaths, listPlacements, placementPaths } from "./placement-directory.ts";
import { placementsIn, readConfig, removedIn, setAside } from "./placement-directory.ts";
import { witnessPlacement } from "./witness-placement.ts";

export interface ProcessClusterOptions {
  readonly name: string;
  /** Absolute; one driver or several, of one machine. */
  readonly directory: string;
  /** What starts an agent; `run --config <file>` is added. */
  readonly agentCommand: readonly string[];
  readonly log?: ((message: string, facts: Readonly<Record<string, unknown>>) => void) | undefined;
}

const capabilities: ClusterCapabilities = {
  holdsStandby: true,
  witnessesFromOutside: true,
  reachesAgents: true,
};

/**
 * A cluster of local processes: `<directory>/placements/<id>/` holds the agent's configuration, state and log, and goes to
 * `<directory>/removed/<id>/` when the placement is removed. Agents outlive the driver; all that it knows is in these files.
 * `check` or `place` makes the directory; without it the other methods throw, for a missing disk is no empty cluster.
 */
export function openProcessCluster(options: ProcessClusterOptions): Cluster {
  const { name, directory, agentCommand, log } = options;

  const witness = async (placement: string, paths: PlacementPaths, deadline: Deadline) =>
    await witnessPlacement(directory, placement, paths, deadline);

  const makeDirectories = async (): Promise<void> => {
    for (const path of [placementsIn(directory), removedIn(directory)])
      await mkdir(path, { recursive: true, mode: 0o700 });
  };

  const requireTerminated = async (
    placement: string,
    paths: PlacementPaths,
    deadline: Deadline,
  ): Promise<void> => {
    const { state, processes, detail } = await witness(placement, paths, deadline);
    if (state === "terminated") return;
    const pids = processes.map(({ pid }) => pid).join(", ");
    const why =
      state === "running" ? `its application lives (process ${pids})` : `it is unknown what runs (${detail})`;
    throw new AppError(
      "wrong-state",
      `cannot remove placement ${placement}: ${why}; stop the application first`,
    );
  };

  return {
    name,
    capabilities,

    check: async ({ timeoutMs }) =>
      await within(timeoutMs, `use cluster ${name}`, async (deadline) => {
        deadline.begin(`making ${directory}`);
        await makeDirectories();
        deadline.begin(`looking whether ${directory} is writable`);
        for (const path of [placementsIn(directory), removedIn(directory)])
          await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
        deadline.begin("looking for the agent's program");
        const unusable = await findUnusable(agentCommand);
        if (unusable === null) return;
        const detail = `cannot use cluster ${name}: "${unusable}" of the agent's command is missing or may not be used; install it`;
        throw new AppError("cluster-unavailable", detail);
      }),

    inspect: async ({ workload, timeoutMs }) =>
      await within(timeoutMs, `look at what is on ${name}`, async (deadline) => {
        deadline.begin("looking for what the workload names");
        return await inspectRoom(directory, workload);
      }),

    place: async ({ spec, timeoutMs }) =>
      await within(timeoutMs, `place ${spec.placement} on ${name}`, async (deadline) => {
        const { placement } = spec;
        const paths = placementPaths(directory, placement);
        deadline.begin(`making ${directory}`);
        await makeDirectories();
        await ensurePlacement(directory, spec, paths, deadline);
        const placed = await ensureAgent(directory, placement, paths, agentCommand, deadline);
        log?.("placement up", { cluster: name, placement, pid: placed.endpoint.pid });
        return placed;
      }),

    find: async ({ placement, timeoutMs }) =>
      await within(timeoutMs, `find placement ${placement} on ${name}`, async (deadline) => {
        const paths = placementPaths(directory, placement);
        deadline.begin("reading its directory");
        if ((await readConfig(directory, placement)) === null) return null;
        deadline.begin("waiting for its agent to answer");
        const placed = await pollUntil(deadline.signal, async () => {
          const reached = await reachAgent(directory, placement, paths, deadline.signal);
          return reached === "silent" ? undefined : reached;
        });
        if (placed !== "dead") return placed;
        const detail = `cannot reach the agent of placement ${placement} on ${name}: its process is dead; place it again`;
        throw new AppError("agent-unreachable", detail);
      }),

    witness: async ({ placement, timeoutMs }) =>
      await within(timeoutMs, `witness placement ${placement} on ${name}`, async (deadline) =>
        witness(placement, placementPaths(directory, placement), deadline),
      ),

    remove: async ({ placement, timeoutMs }) =>
      await within(timeoutMs, `remove placement ${placement} from ${name}`, async (deadline) => {
        const paths = placementPaths(directory, placement);
        deadline.begin("reading its directory");
        if ((await readConfig(directory, placement)) !== null) {
          await requireTerminated(placement, paths, deadline);
          deadline.begin("ending its agent");
          await endAgents(await livingOf(await knownAgents(paths, placement)), deadline);
          // The agent may have started something between the first look and its end.
          await requireTerminated(placement, paths, deadline);
        }
        deadline.begin("setting its directory aside");
        await setAside(directory, placement);
        log?.("placement removed", { cluster: name, placement });
      }),

    list: async ({ timeoutMs }) =>
      await within(timeoutMs, `list the placements of ${name}`, async (deadline) => {
        deadline.begin(`reading ${directory}`);
        return await listPlacements(directory);
      }),
  };
}
