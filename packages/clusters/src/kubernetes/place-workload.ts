import { AppError } from "@baton/protocol";
import { canonicalJson } from "../canonical-json.ts";
import type { PlacedAgent, PlacementSpec } from "../cluster.port.ts";
import { digestOf } from "../digest.ts";
import type { Deadline } from "../deadline.ts";
import { agentCommands, agentFiles } from "./agent-config.ts";
import { ensureAgentMap } from "./agent-map.ts";
import type { KubeName, KubeObject } from "./kube-client.ts";
import {
  type Place,
  applicationLabel,
  assertOurs,
  labelsOf,
  secretNameOf,
  specAnnotation,
  workloadAnnotation,
} from "./names.ts";
import { type PlacementRecord, type RecordedPod, findRecord, recordPod } from "./placement-record.ts";
import { type FoundPod, findPod, statusOfContainer } from "./pods.ts";
import { pollCalmly } from "./poll-calmly.ts";
import { type Paths, reachAgent } from "./reach-agent.ts";
import { type Application, applicationOf, renderOthers, renderWorkload } from "./render-workload.ts";

/** What a node says of an image or a container that will not get better by waiting. */
const hopeless = [
  "ErrImageNeverPull",
  "InvalidImageName",
  "ErrImagePull",
  "ImagePullBackOff",
  "CreateContainerError",
  "RunContainerError",
];

export interface PlaceParams {
  readonly spec: PlacementSpec;
  /** The agent as one file, for images without one. */
  readonly agent: string | undefined;
  readonly paths: Paths;
}

/** Makes the placement's objects unless they are there, and waits for its agent. Two callers at once get the same agent. */
export async function placeWorkload(
  place: Place,
  params: PlaceParams,
  deadline: Deadline,
): Promise<PlacedAgent> {
  const { spec, paths } = params;
  const { placement } = spec;
  const { signal } = deadline;
  const application = applicationOf(spec);
  const { config } = application.settings;
  const { kubernetes, container } = spec;
  const specDigest = digestOf(canonicalJson({ config, kubernetes, container }));
  deadline.begin("looking for its record");
  const before = await findRecord(place, placement, signal);
  assertUsable(place, placement, before, specDigest);
  if (before === null || before.pod === null)
    await makeObjects(place, params, { application, specDigest }, deadline);
  return await pollCalmly(signal, async () => {
    // Looked at again each time, because a removal may come between.
    const record = await findRecord(place, placement, signal);
    assertUsable(place, placement, record, specDigest);
    if (record === null)
      throw conflict(placement, `its record on ${place.name} is gone; make a new placement`);
    const pod = await findPod(place, placement, record, signal);
    if (pod === null && record.pod !== null) throw goneFrom(place, placement);
    deadline.begin(
      `waiting for its agent to answer (${pod === null ? "it has no pod yet" : wordsOf(pod, application.container)})`,
    );
    if (pod === null) return undefined;
    assertHopeful(place, placement, pod, application.container);
    const known: RecordedPod = {
      name: pod.name,
      uid: pod.uid,
      container: application.container,
      look: agentCommands(application.agent).look,
      port: config.applicationPort ?? 0,
      url: kubernetes?.url ?? null,
    };
    const reached = await reachAgent(place, paths, pod, { placement, known }, signal);
    if (reached === null || record.pod !== null) return reached ?? undefined;
    // Before anybody is told of it, since a grant may follow; and looked at again when somebody else recorded one.
    return (await recordPod(place, placement, record, known, signal)) ? reached : undefined;
  });
}

function assertUsable(
  { name }: Place,
  placement: string,
  record: PlacementRecord | null,
  specDigest: string,
): void {
  if (record?.isRemoved)
    throw conflict(
      placement,
      `it was removed from ${name}, and its id is not used again; make a new placement`,
    );
  if (record !== null && record.spec !== specDigest)
    throw conflict(placement, `it exists on ${name} with another spec; remove it or make a new placement`);
}

const conflict = (placement: string, why: string): AppError =>
  new AppError("placement-conflict", `cannot place ${placement}: ${why}`);

export const goneFrom = ({ name }: Place, placement: string): AppError =>
  new AppError(
    "agent-unreachable",
    `cannot reach the agent of placement ${placement} on ${name}: its pod is gone, and the agent's key with it; make a new placement`,
  );

/** The secret before the workload, so that nothing runs that nobody knows of. */
async function makeObjects(
  place: Place,
  { spec, agent }: PlaceParams,
  { application, specDigest }: { readonly application: Application; readonly specDigest: string },
  deadline: Deadline,
): Promise<void> {
  const { client, name: cluster, namespace } = place;
  const { signal } = deadline;
  if (agent === undefined && application.agent === undefined)
    throw new AppError(
      "invalid-request",
      `cannot place ${spec.placement}: neither the application nor cluster ${cluster} says where an agent is; say "agent"`,
    );
  deadline.begin("putting the agent there");
  const agentConfigMap =
    application.agent === undefined && agent !== undefined
      ? await ensureAgentMap(place, agent, signal)
      : null;
  const params = { cluster, namespace, spec, specDigest, agentConfigMap };
  const workload = renderWorkload(params, application);
  deadline.begin("making its objects");
  for (const object of renderOthers(params, application)) await applyOther(place, object, signal);
  const labels = labelsOf(cluster, { placement: spec.placement, application: spec.agent.application });
  const { apiVersion, kind, metadata } = workload;
  const secret: KubeObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: secretNameOf(spec.placement),
      namespace,
      labels,
      annotations: {
        [specAnnotation]: specDigest,
        [workloadAnnotation]: JSON.stringify({ apiVersion, kind, name: metadata.name }),
      },
    },
    type: "Opaque",
    stringData: await agentFiles(spec, application.settings.config),
  };
  await client.create({ object: secret, signal });
  // It may be another one's.
  assertUsable(place, spec.placement, await findRecord(place, spec.placement, signal), specDigest);
  const named: KubeName = { apiVersion, kind, namespace, name: metadata.name };
  const there =
    (await client.create({ object: workload, signal })) ?? (await client.get({ ...named, signal }));
  if (there !== null) assertOurs(place, there, labels);
}

/** @throws AppError `placement-conflict` when it is there and not this application's, or a field of it is somebody else's */
async function applyOther(place: Place, object: KubeObject, signal: AbortSignal): Promise<void> {
  const { apiVersion, kind, metadata } = object;
  const { name, namespace } = metadata;
  const there = await place.client.get({ apiVersion, kind, namespace, name, signal });
  const label = metadata.labels?.[applicationLabel] ?? "";
  if (there !== null) assertOurs(place, there, { [applicationLabel]: label });
  await place.client.apply({ object, signal });
}

function wordsOf(pod: FoundPod, container: string): string {
  if (pod.unscheduled !== null) return `pod ${pod.name} has no node: ${pod.unscheduled}`;
  const { waiting, running } = statusOfContainer(pod, container)?.state ?? {};
  return `pod ${pod.name} is ${running === undefined ? waiting?.reason || "starting" : "running"}`;
}

function assertHopeful(place: Place, placement: string, pod: FoundPod, container: string): void {
  const status = statusOfContainer(pod, container);
  const { reason = "", message = "" } = status?.state.waiting ?? {};
  const fail = (why: string): AppError =>
    new AppError("cluster-unavailable", `cannot place ${placement} on ${place.name}: ${why}`);
  if (hopeless.includes(reason))
    throw fail(`its pod is in ${reason}: ${message.split("\n")[0]?.slice(0, 300)}`);
  const ended = status?.lastState.terminated;
  if (reason === "CrashLoopBackOff" && ended !== undefined)
    throw fail(`its agent ended with exit status ${ended.exitCode}; see the log of pod ${pod.name}`);
}
