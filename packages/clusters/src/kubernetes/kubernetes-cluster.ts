import { access, constants } from "node:fs/promises";
import { AppError, accepts, isKubernetesWorkload, placementIdSchema } from "@baton/protocol";
import type { Cluster, ClusterCapabilities } from "../cluster.port.ts";
import { type Deadline, reasonOf, within } from "../deadline.ts";
import { type KubeObject, openKubeClient } from "./kube-client.ts";
import { KubeDispatcher } from "./kube-dispatcher.ts";
import { type KubeAccess, openIdentity } from "./kube-identity.ts";
import { type Place, clusterLabel, placementLabel, removedLabel } from "./names.ts";
import { goneFrom, placeWorkload } from "./place-workload.ts";
import { findRecord } from "./placement-record.ts";
import { findPod } from "./pods.ts";
import { pollCalmly } from "./poll-calmly.ts";
import { type Paths, reachAgent } from "./reach-agent.ts";
import { removeWorkload } from "./remove-workload.ts";
import { driverRights } from "./survey/driver-rights.ts";
import { surveyWorkload } from "./survey/survey-workload.ts";
import { witnessPod } from "./witness-pod.ts";

export interface KubernetesClusterOptions extends KubeAccess {
  readonly name: string;
  readonly namespace: string;
  /** Absolute path of the agent as one file, which is put into containers whose image has none. */
  readonly agent?: string | undefined;
  readonly log?: ((message: string, facts: Readonly<Record<string, unknown>>) => void) | undefined;
}

const capabilities: ClusterCapabilities = {
  holdsStandby: true,
  witnessesFromOutside: true,
  reachesAgents: true,
};

/**
 * One namespace of Kubernetes. A placement is the user's workload, named for it, and the secret `baton-<id>`, which is all that the driver knows of it. What
 * bears other labels is never used, changed or removed.
 */
export function openKubernetesCluster(options: KubernetesClusterOptions): Cluster {
  const { name, namespace, agent, kubeconfig, log } = options;
  const identify = openIdentity(options);
  const dispatcher = new KubeDispatcher(identify);
  const place: Place = { client: openKubeClient(options), name, namespace };
  const run = <T>(timeoutMs: number, what: string, work: (deadline: Deadline) => Promise<T>): Promise<T> =>
    within(timeoutMs, what, work, "check the cluster");
  const findPaths = async (): Promise<Paths> => {
    const { server } = await identify(`use cluster ${name}`);
    return { dispatcher, server, isInside: kubeconfig === undefined };
  };
  const listSecrets = async (labels: string, signal: AbortSignal) =>
    await place.client.list({ apiVersion: "v1", kind: "Secret", namespace, labels, signal });

  return {
    name,
    capabilities,
    agentDispatcher: dispatcher,

    check: ({ timeoutMs }) =>
      run(timeoutMs, `use cluster ${name}`, async (deadline) => {
        const { signal } = deadline;
        deadline.begin("looking for its namespace");
        if (
          (await place.client.get({ apiVersion: "v1", kind: "Namespace", name: namespace, signal })) === null
        )
          throw new AppError(
            "cluster-unavailable",
            `cannot use cluster ${name}: it has no namespace ${namespace}; make it, or correct "namespace"`,
          );
        deadline.begin("listing its placements");
        await listSecrets(clusterLabel, signal);
        await place.client.list({ apiVersion: "v1", kind: "Pod", namespace, labels: placementLabel, signal });
        deadline.begin("looking for the agent");
        if (agent === undefined) return;
        await access(agent, constants.R_OK).catch((error: unknown) => {
          const detail = `cannot use cluster ${name}: the agent ${agent} cannot be read (${reasonOf(error)}); build it, or correct "agent"`;
          throw new AppError("cluster-unavailable", detail);
        });
      }),

    survey: ({ application, placement, salt, timeoutMs }) =>
      run(timeoutMs, `look around on cluster ${name}`, ({ signal }) => {
        const { client } = place;
        // As they would be put here.
        const objects = (application.kubernetes?.objects ?? []).map((object): KubeObject => ({
          ...object,
          metadata: { ...object.metadata, namespace },
        }));
        const workload = objects.find(isKubernetesWorkload) ?? null;
        const rights = driverRights(objects, workload);
        return surveyWorkload({
          client,
          namespace,
          objects,
          workload,
          placement,
          placementLabel,
          rights,
          salt,
          signal,
        });
      }),

    place: ({ spec, timeoutMs }) =>
      run(timeoutMs, `place ${spec.placement} on ${name}`, async (deadline) => {
        const paths = await findPaths();
        const placed = await placeWorkload(place, { spec, agent, paths }, deadline);
        log?.("placement up", { cluster: name, placement: spec.placement, url: placed.endpoint.url });
        return placed;
      }),

    find: ({ placement, timeoutMs }) =>
      run(timeoutMs, `find placement ${placement} on ${name}`, async (deadline) => {
        const { signal } = deadline;
        const paths = await findPaths();
        deadline.begin("looking for its record");
        const record = await findRecord(place, placement, signal);
        if (record === null || record.isRemoved) return null;
        const { pod: recorded } = record;
        if (recorded === null)
          throw new AppError(
            "agent-unreachable",
            `cannot reach the agent of placement ${placement} on ${name}: it never was up; place it again`,
          );
        deadline.begin("waiting for its agent to answer");
        return await pollCalmly(signal, async () => {
          const pod = await findPod(place, placement, record, signal);
          if (pod === null) throw goneFrom(place, placement);
          return (await reachAgent(place, paths, pod, { placement, known: recorded }, signal)) ?? undefined;
        });
      }),

    witness: ({ placement, timeoutMs }) =>
      run(timeoutMs, `witness placement ${placement} on ${name}`, (deadline) =>
        witnessPod(place, placement, deadline),
      ),

    remove: ({ placement, timeoutMs }) =>
      run(timeoutMs, `remove placement ${placement} from ${name}`, async (deadline) => {
        await removeWorkload(place, placement, deadline);
        log?.("placement removed", { cluster: name, placement });
      }),

    list: ({ timeoutMs }) =>
      run(timeoutMs, `list the placements of ${name}`, async (deadline) => {
        deadline.begin("listing its secrets");
        const secrets = await listSecrets(`${clusterLabel}=${name},!${removedLabel}`, deadline.signal);
        return secrets
          .map(({ metadata: { labels = {} } }) => labels[placementLabel] ?? "")
          .filter((id) => accepts(placementIdSchema, id))
          .toSorted();
      }),
  };
}
