import { type AgentEndpoint, AppError, agentPortInContainer } from "@baton/protocol";
import { type Dispatcher, request } from "undici";
import { answersLivez } from "../answers-livez.ts";
import type { PlacedAgent } from "../cluster.port.ts";
import { lookIntoPod } from "./look-into-pod.ts";
import type { Place } from "./names.ts";
import type { RecordedPod } from "./placement-record.ts";
import { type FoundPod, statusOfContainer } from "./pods.ts";

export interface Paths {
  readonly dispatcher: Dispatcher;
  /** Of the API server. */
  readonly server: string;
  /** We are in a pod of the same cluster, so that its pods' addresses are whose they seem to be. */
  readonly isInside: boolean;
}

/** The agent if it answers and is who it must be; null while it does not. */
export async function reachAgent(
  place: Place,
  paths: Paths,
  pod: FoundPod,
  { placement, known }: { readonly placement: string; readonly known: RecordedPod },
  signal: AbortSignal,
): Promise<PlacedAgent | null> {
  const { container, look } = known;
  if (statusOfContainer(pod, container)?.state.running === undefined) return null;
  const url = await findPath(place, paths, pod, signal);
  if (url === null) return null;
  // After it was heard: the file of an earlier life may still be there for a moment, and the lock tells.
  const looked = await lookIntoPod(place, { pod: pod.name, container, look }, signal);
  if (looked === null || looked.lock === null || looked.endpoint === null) return null;
  const { lock, endpoint } = looked;
  assertSame(place, placement, endpoint);
  const isLatest = (["pid", "startTime", "bootId"] as const).every((key) => lock[key] === endpoint[key]);
  if (!isLatest) return null;
  return {
    endpoint: { ...endpoint, url },
    applicationUrl: known.url ?? applicationUrl(pod, known.port),
  };
}

function assertSame({ name }: Place, placement: string, { placement: found }: AgentEndpoint): void {
  if (found === placement) return;
  throw new AppError(
    "cluster-unavailable",
    `cannot trust the pod of placement ${placement} on ${name}: its agent is of placement ${found}; remove the placement`,
  );
}

/** By a port of its node, by its own address, or by the API server: the first that answers. */
async function findPath(
  { namespace }: Place,
  { dispatcher, server, isInside }: Paths,
  { name, podIp, hostIp, ports }: FoundPod,
  signal: AbortSignal,
): Promise<string | null> {
  const { hostPort } = ports.find(({ containerPort }) => containerPort === agentPortInContainer) ?? {};
  const direct = [
    ...(hostPort !== undefined && hostIp !== undefined ? [`http://${hostOf(hostIp)}:${hostPort}`] : []),
    ...(isInside && podIp !== undefined ? [`http://${hostOf(podIp)}:${agentPortInContainer}`] : []),
  ];
  for (const url of direct) if (await answersLivez(url, signal)) return url;
  const url = `${server}/api/v1/namespaces/${namespace}/pods/http:${name}:${agentPortInContainer}/proxy`;
  const answer = await request(`${url}/livez`, {
    dispatcher,
    signal: AbortSignal.any([signal, AbortSignal.timeout(3_000)]),
  }).catch(() => null);
  await answer?.body.dump();
  return answer?.statusCode === 200 ? url : null;
}

function applicationUrl({ podIp, hostIp, ports }: FoundPod, port: number): string {
  const { hostPort } = ports.find(({ containerPort }) => containerPort === port) ?? {};
  return hostPort !== undefined && hostIp !== undefined
    ? `http://${hostOf(hostIp)}:${hostPort}`
    : `http://${hostOf(podIp ?? "")}:${port}`;
}

const hostOf = (address: string): string => (address.includes(":") ? `[${address}]` : address);
