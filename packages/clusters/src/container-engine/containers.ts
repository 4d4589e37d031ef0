import { agentPortInContainer, integer, object, parseAs, record } from "@baton/protocol";
import * as v from "valibot";
import type { Engine } from "./engine.ts";
import { assertOurs, clusterLabel, labelsOf, namesOf, placementLabel } from "./names.ts";

const labelsSchema = v.optional(v.nullable(record(v.string(), v.string())), {});
const portBindingSchema = object({ HostPort: v.string() });

/** Of `GET /containers/{id}/json`. */
const containerSchema = object({
  Id: v.pipe(v.string(), v.minLength(12)),
  Config: object({ Labels: labelsSchema }),
  State: object({
    Status: v.string(),
    Running: v.boolean(),
    Paused: v.boolean(),
    ExitCode: integer,
    StartedAt: v.string(),
    FinishedAt: v.string(),
  }),
  HostConfig: object({
    PortBindings: v.optional(v.nullable(record(v.string(), v.nullable(v.array(portBindingSchema)))), {}),
  }),
});

const listedSchema = v.array(
  object({
    Labels: labelsSchema,
    Ports: v.optional(v.nullable(v.array(object({ PublicPort: v.optional(integer) }))), []),
  }),
);

const volumeSchema = object({ Labels: labelsSchema });

export interface FoundContainer {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: {
    /** The engine's word: created, running, paused, exited, dead; Podman's are more. */
    readonly status: string;
    readonly isRunning: boolean;
    readonly isPaused: boolean;
    readonly exitCode: number;
    /** Epoch ms by the engine's clock; null: never. */
    readonly startedAt: number | null;
    readonly finishedAt: number | null;
  };
  /** Ports of the host that lead to the agent and to the application. */
  readonly ports: { readonly agent: number | null; readonly application: number | null };
}

export interface Place {
  readonly engine: Engine;
  /** The cluster's name. */
  readonly name: string;
}

/**
 * The placement's container, or null when the engine says that there is none.
 * @throws AppError `placement-conflict` when its name is somebody else's; `cluster-unavailable` for every other answer
 */
export async function findContainer(
  { engine, name }: Place,
  placement: string,
  signal: AbortSignal,
): Promise<FoundContainer | null> {
  const { container } = namesOf(placement);
  const what = `look at container ${container} on ${name}`;
  const path = `/containers/${container}/json`;
  const answer = await engine.call({ method: "GET", path, what, signal, expect: [404] });
  if (answer.status === 404) return null;
  const { Id, Config, State, HostConfig } = parseAs(
    containerSchema,
    answer.json(),
    what,
    "cluster-unavailable",
  );
  const labels = Config.Labels ?? {};
  assertOurs(name, placement, `container ${container}`, labels);
  return {
    id: Id,
    labels,
    state: {
      status: State.Status,
      isRunning: State.Running,
      isPaused: State.Paused,
      exitCode: State.ExitCode,
      startedAt: momentOf(State.StartedAt),
      finishedAt: momentOf(State.FinishedAt),
    },
    ports: portsOf(HostConfig.PortBindings ?? {}),
  };
}

function portsOf(bindings: Readonly<Record<string, readonly { readonly HostPort: string }[] | null>>) {
  const ports: { agent: number | null; application: number | null } = { agent: null, application: null };
  for (const [name, bound] of Object.entries(bindings)) {
    const port = Number(bound?.[0]?.HostPort);
    if (port > 0) ports[name === `${agentPortInContainer}/tcp` ? "agent" : "application"] = port;
  }
  return ports;
}

/** Engines write the year 1 for never. */
function momentOf(text: string): number | null {
  const at = Date.parse(text);
  return Number.isNaN(at) || at <= 0 ? null : at;
}

/** Placements whose containers are here, and every port that any container is promised, ours or not. */
export async function listContainers(
  { engine, name }: Place,
  signal: AbortSignal,
): Promise<{ readonly placements: readonly string[]; readonly ports: ReadonlySet<number> }> {
  const what = `list the containers of ${name}`;
  const answer = await engine.call({
    method: "GET",
    path: "/containers/json",
    query: { all: "true" },
    what,
    signal,
  });
  const all = parseAs(listedSchema, answer.json(), what, "cluster-unavailable");
  const placements = all.flatMap(({ Labels }) =>
    Labels?.[clusterLabel] === name ? (Labels[placementLabel] ?? []) : [],
  );
  const ports = all.flatMap(({ Ports }) => (Ports ?? []).flatMap(({ PublicPort }) => PublicPort ?? []));
  return { placements: [...new Set(placements)].toSorted(), ports: new Set(ports) };
}

/** Whether the volume is there. @throws AppError `placement-conflict` when it is somebody else's */
export async function hasVolume(
  { engine, name }: Place,
  placement: string,
  volume: string,
  signal: AbortSignal,
): Promise<boolean> {
  const what = `look at volume ${volume} on ${name}`;
  const answer = await engine.call({
    method: "GET",
    path: `/volumes/${volume}`,
    what,
    signal,
    expect: [404],
  });
  if (answer.status === 404) return false;
  const { Labels } = parseAs(volumeSchema, answer.json(), what, "cluster-unavailable");
  assertOurs(name, placement, `volume ${volume}`, Labels ?? {});
  return true;
}

/** Makes the volume, or finds it. @throws AppError `placement-conflict` when it is somebody else's */
export async function ensureVolume(
  place: Place,
  placement: string,
  volume: string,
  signal: AbortSignal,
): Promise<void> {
  if (await hasVolume(place, placement, volume, signal)) return;
  const json = { Name: volume, Labels: labelsOf(place.name, placement) };
  const what = `make volume ${volume} on ${place.name}`;
  // Two at once: one of them may be told that it is there, which is as good.
  await place.engine.call({
    method: "POST",
    path: "/volumes/create",
    json,
    what,
    signal,
    expect: [409, 500],
  });
  if (await hasVolume(place, placement, volume, signal)) return;
  await place.engine.call({ method: "POST", path: "/volumes/create", json, what, signal });
}
