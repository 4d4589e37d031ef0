import {
  type AgentEndpoint,
  AppError,
  agentEndpointSchema,
  integer,
  parseAs,
  strictObject,
} from "@baton/protocol";
import * as v from "valibot";
import type { PlacedAgent } from "../cluster.port.ts";
import { answersLivez } from "../answers-livez.ts";
import { stateDirectory } from "./agent-files.ts";
import { type FoundContainer, type Place, findContainer } from "./containers.ts";
import { namesOf } from "./names.ts";
import { firstFile } from "./tar.ts";

const lockSchema = strictObject({ pid: integer, startTime: v.string(), bootId: v.string() });

export interface ReachParams {
  readonly placement: string;
  /** Where published ports answer. */
  readonly address: string;
}

/** The agent if it answers; `silent` when its container runs and it does not (yet); else the container that does not run, or null for none. */
export async function reachAgent(
  place: Place,
  { placement, address }: ReachParams,
  signal: AbortSignal,
): Promise<PlacedAgent | "silent" | { readonly stopped: FoundContainer | null }> {
  const container = await findContainer(place, placement, signal);
  if (container === null || !container.state.isRunning) return { stopped: container };
  const { agent: agentAt, application: applicationAt } = container.ports;
  if (agentAt === null || applicationAt === null)
    throw new AppError(
      "cluster-unavailable",
      `cannot reach placement ${placement}: its container publishes no port any more; remove the placement`,
    );
  const host = address.includes(":") ? `[${address}]` : address;
  const url = `http://${host}:${agentAt}`;
  if (container.state.isPaused || !(await answersLivez(url, signal))) return "silent";
  const endpoint = await readEndpoint(place, placement, signal);
  if (endpoint === null) return "silent";
  return { endpoint: { ...endpoint, url }, applicationUrl: `http://${host}:${applicationAt}` };
}

/**
 * What the agent that answers wrote of itself. The file of an earlier life may still be there for a moment: it is told apart by the lock, which an agent
 * takes before it listens, and the files are read after it was heard.
 */
async function readEndpoint(
  place: Place,
  placement: string,
  signal: AbortSignal,
): Promise<AgentEndpoint | null> {
  const [lock, endpoint] = await Promise.all([
    readStateFile(place, placement, "lock", signal),
    readStateFile(place, placement, "endpoint.json", signal),
  ]);
  if (lock === null || endpoint === null) return null;
  const holder = parseAs(lockSchema, lock, "the agent's lock", "cluster-unavailable");
  const found = parseAs(agentEndpointSchema, endpoint, "the agent's endpoint", "cluster-unavailable");
  if (found.placement !== placement)
    throw new AppError(
      "cluster-unavailable",
      `cannot trust the state of placement ${placement} on ${place.name}: it names placement ${found.placement}; restore its volume`,
    );
  const isSame =
    holder.pid === found.pid && holder.startTime === found.startTime && holder.bootId === found.bootId;
  return isSame ? found : null;
}

/** A file of the state directory as JSON; null while it is not there, or not yet whole. */
async function readStateFile(
  { engine, name }: Place,
  placement: string,
  file: string,
  signal: AbortSignal,
): Promise<unknown> {
  const { container } = namesOf(placement);
  const answer = await engine.call({
    method: "GET",
    path: `/containers/${container}/archive`,
    query: { path: `${stateDirectory}/${file}` },
    what: `read ${file} of placement ${placement} on ${name}`,
    signal,
    expect: [404],
  });
  const content = answer.status === 404 ? null : firstFile(answer.bytes);
  try {
    return content === null ? null : JSON.parse(content.toString());
  } catch {
    return null;
  }
}

/** Whether an agent ever lived here: its lock stays when it dies. */
export const wasEverUp = async (place: Place, placement: string, signal: AbortSignal): Promise<boolean> =>
  (await readStateFile(place, placement, "lock", signal)) !== null;
