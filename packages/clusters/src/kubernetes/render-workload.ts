import {
  AppError,
  type ContainerManifest,
  type KubernetesManifest,
  agentPortInContainer,
  isKubernetesWorkload,
} from "@baton/protocol";
import type { PlacementSpec } from "../cluster.port.ts";
import { type AgentSettings, agentSettingsOf } from "./agent-config.ts";
import type { KubeObject } from "./kube-object.ts";
import { applicationLabel, finalizer, labelsOf, placementLabel, specAnnotation, suffixOf } from "./names.ts";
import { type Json, type PodParts, asJson, asList, renderPodSpec } from "./render-pod.ts";

const longestName = 63;
const defaultPort = 8_080;

export interface RenderParams {
  readonly cluster: string;
  readonly namespace: string;
  readonly spec: PlacementSpec;
  readonly specDigest: string;
  /** Of what the agent's file is mounted from; null where the image has an agent. */
  readonly agentConfigMap: string | null;
}

/** What Baton needs to know of the user's objects. */
export interface Application {
  readonly objects: KubernetesManifest["objects"];
  readonly container: string;
  readonly agent: readonly string[] | undefined;
  readonly settings: AgentSettings;
}

/** @throws AppError `invalid-request` where it says neither its objects nor its container */
export function applicationOf(spec: PlacementSpec): Application {
  const { objects, container, agent, port } = spec.kubernetes ?? podOf(spec);
  const workload = workloadOf(objects);
  const { spec: pod } = templateOf(workload);
  const containers = asList(pod["containers"]).map(asJson);
  const name = container ?? String(containers[0]?.["name"]);
  const own = containers.find((each) => each["name"] === name) ?? {};
  const ports = asList(own["ports"]).map((each) => Number(asJson(each)["containerPort"]));
  const settings = agentSettingsOf(spec, {
    port: port ?? ports.find((each) => each !== agentPortInContainer) ?? defaultPort,
    graceSeconds: Number(pod["terminationGracePeriodSeconds"] ?? 0),
  });
  return { objects, container: name, agent, settings };
}

/** The placement's workload: the user's, named for the placement, marked, and with the agent in the application's container. */
export function renderWorkload(params: RenderParams, application: Application): KubeObject {
  const { cluster, namespace, spec, specDigest } = params;
  const workload = workloadOf(application.objects);
  const labels = labelsOf(cluster, { placement: spec.placement, application: spec.agent.application });
  const suffix = suffixOf(spec.placement);
  const name = `${workload.metadata.name.slice(0, longestName - 20 - suffix.length)}-${suffix}`;
  const marks = <M extends object>(metadata: M & Json) => ({
    ...metadata,
    labels: { ...asTexts(metadata["labels"]), ...labels },
    annotations: { ...asTexts(metadata["annotations"]), [specAnnotation]: specDigest },
  });
  const held = <M extends object>(metadata: M & Json) => ({
    ...marks(metadata),
    finalizers: [...asList(metadata["finalizers"]).map(String), finalizer],
  });
  const parts: PodParts = { ...application, ...params, isPod: workload.kind === "Pod" };
  const own = { ...workload.metadata, name, namespace };
  const { metadata, spec: pod } = templateOf(workload);
  const rendered = renderPodSpec(pod, parts);
  if (workload.kind === "Pod") return { ...workload, metadata: held(own), spec: rendered };
  const whole = asJson(workload["spec"]);
  const selector = asJson(whole["selector"]);
  return {
    ...workload,
    metadata: marks(own),
    spec: {
      ...whole,
      // Another placement of the application has the user's labels too. A job makes its own selector.
      ...(workload.kind !== "Job" && {
        replicas: 1,
        selector: {
          ...selector,
          matchLabels: { ...asJson(selector["matchLabels"]), [placementLabel]: spec.placement },
        },
      }),
      ...(workload.kind === "Deployment" && { strategy: { type: "Recreate" } }),
      template: { metadata: held(metadata), spec: rendered },
    },
  };
}

/** What stands beside the workload: with its own names, marked as the application's. */
export const renderOthers = (
  { namespace, spec }: RenderParams,
  { objects }: Application,
): readonly KubeObject[] =>
  objects
    .filter((object) => !isKubernetesWorkload(object))
    .map((object) => ({
      ...object,
      metadata: {
        ...object.metadata,
        namespace,
        labels: { ...asTexts(object.metadata["labels"]), [applicationLabel]: spec.agent.application },
      },
    }));

const asTexts = (value: unknown): Record<string, string> =>
  Object.fromEntries(Object.entries(asJson(value)).map(([key, text]) => [key, String(text)]));

function workloadOf(objects: KubernetesManifest["objects"]): KubernetesManifest["objects"][number] {
  const workload = objects.find(isKubernetesWorkload);
  if (workload !== undefined) return workload;
  throw new AppError("invalid-request", "cannot place the application: its objects have no workload");
}

/** A pod is its own template. */
function templateOf(workload: KubernetesManifest["objects"][number]): { metadata: Json; spec: Json } {
  const template = workload.kind === "Pod" ? workload : asJson(asJson(workload["spec"])["template"]);
  return { metadata: asJson(template["metadata"]), spec: asJson(template["spec"]) };
}

/** Of an application that says only what container it runs in. */
function podOf({ placement, agent, container }: PlacementSpec): KubernetesManifest {
  if (container === undefined)
    throw new AppError(
      "invalid-request",
      `cannot place ${placement}: its application does not say what it runs in; add "kubernetes" with its objects, or "container" with an image`,
    );
  const { image, pull, agent: own, port } = container;
  const object = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: agent.application },
    spec: {
      containers: [
        {
          name: "application",
          image,
          imagePullPolicy: pull === "never" ? "Never" : "IfNotPresent",
          ports: [{ name: "application", containerPort: port }],
          ...boundsOf(container),
        },
      ],
    },
  };
  return { objects: [object], port, ...(own && { agent: own }) };
}

function boundsOf({ user, memoryBytes, cpus }: ContainerManifest): Json {
  const [uid, gid = uid] = user?.split(":").map(Number) ?? [];
  const limits = {
    ...(memoryBytes !== undefined && { memory: String(memoryBytes) }),
    ...(cpus !== undefined && { cpu: `${Math.round(cpus * 1_000)}m` }),
  };
  return {
    ...(uid !== undefined && { securityContext: { runAsUser: uid, runAsGroup: gid } }),
    ...(Object.keys(limits).length > 0 && { resources: { limits } }),
  };
}
