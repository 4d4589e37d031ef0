import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { AppError, type ContainerManifest, agentPortInContainer, isAppError } from "@baton/protocol";
import { canonicalJson } from "../canonical-json.ts";
import type { PlacedAgent, PlacementSpec } from "../cluster.port.ts";
import { type Deadline, pollUntil, reasonOf } from "../deadline.ts";
import { digestOf } from "../digest.ts";
import { agentCommandOf, agentConfigOf, agentFiles, stateDirectory, stateOwner } from "./agent-files.ts";
import {
  type FoundContainer,
  type Place,
  ensureVolume,
  findContainer,
  hasVolume,
  listContainers,
} from "./containers.ts";
import { type ContainerUser, type Registry, ensureImage, findImage, userOf } from "./images.ts";
import { allLabelsOf, isMadeFrom, namesOf } from "./names.ts";
import { reachAgent } from "./reach-agent.ts";
import { readLog } from "./read-log.ts";

/** Below the kernel's ephemeral range (32768), so that no outgoing connection takes a port. */
const firstPort = 20_000;
const portCount = 12_000;
/** How long whoever made the container has to start it before another one does. */
const makerGraceMs = 2_000;
const mostStarts = 3;

export interface PlaceParams {
  readonly spec: PlacementSpec;
  readonly container: ContainerManifest;
  readonly address: string;
  /** The agent as one file, for images without one. */
  readonly agent: string | null;
  readonly registries: readonly Registry[];
}

/** Makes the container unless it is there, starts it unless it runs, and waits for its agent. Two callers at once get the same agent. */
export async function placeContainer(
  place: Place,
  params: PlaceParams,
  deadline: Deadline,
): Promise<PlacedAgent> {
  const { spec, container, address } = params;
  const { placement } = spec;
  const { signal } = deadline;
  const specDigest = digestOf(canonicalJson({ agent: agentConfigOf(spec, container, null), container }));
  deadline.begin("looking for its container");
  await assertNotRemoved(place, placement, signal);
  const before = await findContainer(place, placement, signal);
  const isMaker = before === null && (await makeContainer(place, params, specDigest, deadline));
  deadline.begin("looking at its container");
  const found = before ?? (await findContainer(place, placement, signal));
  // Looked at again after the making, because a removal may have come between.
  await assertNotRemoved(place, placement, signal);
  if (found === null)
    throw new AppError(
      "cluster-unavailable",
      `cannot place ${placement}: its container is gone again; try again`,
    );
  if (!isMadeFrom(found.labels, specDigest)) {
    const detail = `cannot place ${placement}: it exists on ${place.name} with another spec; remove it or make a new placement`;
    throw new AppError("placement-conflict", detail);
  }

  let starts = 0;
  const startAt = performance.now() + (isMaker || found.state.status !== "created" ? 0 : makerGraceMs);
  deadline.begin("waiting for its agent to answer (see the container's log)");
  return await pollUntil(signal, async () => {
    const reached = await reachAgent(place, { placement, address }, signal);
    if (reached === "silent") return undefined;
    if (!("stopped" in reached)) return reached;
    const { stopped } = reached;
    if (stopped === null || starts >= mostStarts) throw await endedEarly(place, placement, stopped, signal);
    if (performance.now() < startAt) return undefined;
    starts += 1;
    await startContainer(place, params, stopped, signal);
    return undefined;
  });
}

async function assertNotRemoved(place: Place, placement: string, signal: AbortSignal): Promise<void> {
  if (!(await hasVolume(place, placement, namesOf(placement).removed, signal))) return;
  const detail = `cannot place ${placement}: it was removed from ${place.name}, and its id is not used again; make a new placement`;
  throw new AppError("placement-conflict", detail);
}

/** @returns false when somebody else made it meanwhile */
async function makeContainer(
  place: Place,
  params: PlaceParams,
  specDigest: string,
  deadline: Deadline,
): Promise<boolean> {
  const { spec, container, registries } = params;
  const { placement } = spec;
  const { signal } = deadline;
  const names = namesOf(placement);
  deadline.begin(`pulling image ${container.image}`);
  await ensureImage(place, container, registries, signal);
  const owner = await ownerOf(place, container, signal);
  const agent = await readAgent(params);
  const agentDigest = agent === null ? "image" : digestOf(agent);
  deadline.begin("making its container");
  await ensureVolume(place, placement, names.volume, signal);
  const labels = allLabelsOf(place.name, placement, { spec: specDigest, agent: agentDigest });
  const answer = await place.engine.call({
    method: "POST",
    path: "/containers/create",
    query: { name: names.container },
    json: await bodyOf(place, params, { labels, volume: names.volume, owner }, signal),
    what: `make container ${names.container} on ${place.name}`,
    signal,
    expect: [409, 500],
  });
  if (answer.status < 300) return true;
  // Docker says 409 for a name that is taken, Podman 500, which may be anything.
  if ((await findContainer(place, placement, signal)) !== null) return false;
  const { message = "" } = (answer.json() ?? {}) as { message?: string };
  const why = `the engine said ${answer.status}: ${String(message).split("\n")[0]}`;
  throw new AppError(
    "cluster-unavailable",
    `cannot make container ${names.container} on ${place.name}: ${why}`,
  );
}

/** In the order of the engine's documentation. Nothing secret: all of it is shown by `inspect`. */
async function bodyOf(
  place: Place,
  { spec, container, address }: PlaceParams,
  made: { readonly labels: Record<string, string>; readonly volume: string; readonly owner: ContainerUser },
  signal: AbortSignal,
): Promise<unknown> {
  const { ports: taken } = await listContainers(place, signal);
  const hostIp = isIP(address) === 0 ? "" : address;
  const ports = [agentPortInContainer, container.port];
  const chosen = chooseFreePorts(taken, ports.length);
  const published = ports.map((port, n) => [
    `${port}/tcp`,
    [{ HostIp: hostIp, HostPort: String(chosen[n]) }],
  ]);
  const graceMs = spec.agent.platformGraceMs ?? 10_000;
  const { memoryBytes, cpus, processes, network } = container;
  return {
    Image: container.image,
    User: `${made.owner.uid}:${made.owner.gid}`,
    Entrypoint: agentCommandOf(container),
    Cmd: [],
    Labels: made.labels,
    ExposedPorts: Object.fromEntries(ports.map((port) => [`${port}/tcp`, {}])),
    StopTimeout: Math.ceil(graceMs / 1_000) + 1,
    Healthcheck: { Test: ["NONE"] },
    HostConfig: {
      // Reaps what the application leaves, which Node cannot.
      Init: true,
      // Whoever starts an agent again is whoever would know what it is to do.
      RestartPolicy: { Name: "no" },
      PortBindings: Object.fromEntries(published),
      Mounts: [{ Type: "volume", Source: made.volume, Target: stateDirectory }],
      ...(memoryBytes !== undefined && { Memory: memoryBytes }),
      ...(cpus !== undefined && { NanoCpus: Math.round(cpus * 1e9) }),
      ...(processes !== undefined && { PidsLimit: processes }),
      ...(network !== undefined && { NetworkMode: network }),
    },
  };
}

/** Two placements made at the same moment get the same port by a small chance; the second container is then refused its start, and says so. */
function chooseFreePorts(taken: ReadonlySet<number>, count: number): readonly number[] {
  const chosen = new Set<number>();
  for (let attempt = 0; chosen.size < count && attempt < 10_000; attempt += 1) {
    const port = firstPort + randomInt(portCount);
    if (!taken.has(port)) chosen.add(port);
  }
  return [...chosen];
}

async function startContainer(
  place: Place,
  params: PlaceParams,
  found: FoundContainer,
  signal: AbortSignal,
): Promise<void> {
  const { spec, container } = params;
  const { placement } = spec;
  // What has run has its files: only a container that was never started may lack them.
  if (found.state.startedAt === null) {
    const owner = await ownerOf(place, container, signal);
    const put = async (path: string, archive: Buffer): Promise<void> => {
      const what = `put the agent's files into the container of ${placement} on ${place.name}`;
      const query = { path };
      await place.engine.call({
        method: "PUT",
        path: `/containers/${found.id}/archive`,
        query,
        archive,
        what,
        signal,
      });
    };
    await put(
      "/",
      await agentFiles(spec, container, { slot: found.id, agent: await readAgent(params), owner }),
    );
    await put(stateDirectory, stateOwner(owner));
  }
  await place.engine.call({
    method: "POST",
    path: `/containers/${found.id}/start`,
    what: `start the container of ${placement} on ${place.name}`,
    signal,
    expect: [304],
  });
}

async function ownerOf(
  place: Place,
  container: ContainerManifest,
  signal: AbortSignal,
): Promise<ContainerUser> {
  const image = await findImage(place, container.image, signal);
  if (image !== null) return userOf(container, image.user);
  const detail = `cannot use image ${container.image} on ${place.name}: it is gone again; try again`;
  throw new AppError("cluster-unavailable", detail);
}

async function readAgent({ container, agent }: PlaceParams): Promise<Buffer | null> {
  if (container.agent !== undefined) return null;
  if (agent === null)
    throw new AppError(
      "invalid-request",
      `cannot run ${container.image}: neither the application's container nor the cluster says where an agent is; say "agent"`,
    );
  try {
    return await readFile(agent);
  } catch (error) {
    throw new AppError(
      "cluster-unavailable",
      `cannot read the agent ${agent} (${reasonOf(error)}); build it`,
    );
  }
}

/** How an agent ended that does not come up, with its last words. */
async function endedEarly(
  { engine, name }: Place,
  placement: string,
  stopped: FoundContainer | null,
  signal: AbortSignal,
): Promise<AppError> {
  if (stopped === null)
    return new AppError(
      "cluster-unavailable",
      `cannot place ${placement}: its container was removed; try again`,
    );
  const words = await lastWords({ engine, name }, stopped, signal).catch((error: unknown) =>
    isAppError(error) ? "" : Promise.reject(error as Error),
  );
  const said = words === "" ? "" : `, and said: ${words}`;
  return new AppError(
    "cluster-unavailable",
    `cannot place ${placement} on ${name}: its agent ended with exit status ${stopped.state.exitCode}${said}`,
  );
}

async function lastWords(
  { engine, name }: Place,
  { id }: FoundContainer,
  signal: AbortSignal,
): Promise<string> {
  const log = await readLog({ engine, name }, id, "5", signal);
  return log.trim().split("\n").at(-1)?.slice(0, 300) ?? "";
}
