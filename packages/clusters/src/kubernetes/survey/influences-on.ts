import { accepts } from "@baton/protocol";
import * as v from "valibot";
import type { Influence, InfluenceKind } from "../../cluster-survey.ts";
import type { KubeObject } from "../kube-object.ts";
import { describeName, describeObject as tell, groupOf } from "./describe-object.ts";
import { podTemplateOf } from "./pod-template.ts";
import { selects } from "./selects.ts";

/** What else is on the cluster; null where nobody could look. */
export interface Surroundings {
  readonly autoscalers: readonly KubeObject[] | null;
  readonly scaledObjects: readonly KubeObject[] | null;
  readonly argoApplications: readonly KubeObject[] | null;
  readonly kustomizations: readonly KubeObject[] | null;
  readonly helmReleases: readonly KubeObject[] | null;
  readonly disruptionBudgets: readonly KubeObject[] | null;
}

/** Whose finalizers and owner references are no stranger's. */
const ownDomain = "baton.dev";

/**
 * Who would start the objects' pods again, change them, or keep them from going.
 *
 * @param objects as they are on the cluster, or as they would be put there; each with its namespace
 */
export const influencesOn = (objects: readonly KubeObject[], around: Surroundings): readonly Influence[] =>
  objects.flatMap((object) =>
    [
      scaledBy(object, around.autoscalers, "autoscaler"),
      scaledBy(object, around.scaledObjects, "keda"),
      argoOn(object, around.argoApplications),
      fluxOn(object, "kustomize", around.kustomizations),
      fluxOn(object, "helm", around.helmReleases),
      ownersOf(object),
      recreationOf(object),
      budgetsOn(object, around.disruptionBudgets),
      finalizersOn(object),
      restartsOf(object),
    ].flat(),
  );

const is = (kind: InfluenceKind, detail: string): readonly Influence[] => [{ kind, detail }];

const scalerSchema = v.looseObject({
  spec: v.looseObject({
    scaleTargetRef: v.looseObject({ kind: v.optional(v.string(), "Deployment"), name: v.string() }),
  }),
});

function scaledBy(
  object: KubeObject,
  scalers: readonly KubeObject[] | null,
  kind: "autoscaler" | "keda",
): readonly Influence[] {
  return (scalers ?? []).flatMap((scaler) => {
    const { metadata } = scaler;
    if (!accepts(scalerSchema, scaler) || metadata.namespace !== object.metadata.namespace) return [];
    const { kind: scaledKind = "Deployment", name } = scaler.spec.scaleTargetRef;
    // KEDA's own autoscalers go with its scaled objects.
    const isMadeByKeda = (metadata.ownerReferences ?? []).some(
      (owner) => groupOf(owner.apiVersion) === "keda.sh",
    );
    const isPaused = metadata.annotations?.["autoscaling.keda.sh/paused"] === "true";
    return scaledKind === object.kind && name === object.metadata.name && !isMadeByKeda && !isPaused
      ? is(kind, `${tell(scaler)} scales ${tell(object)}`)
      : [];
  });
}

const argoSchema = v.looseObject({
  spec: v.looseObject({
    syncPolicy: v.optional(
      v.looseObject({
        automated: v.optional(
          v.nullable(v.looseObject({ selfHeal: v.optional(v.boolean()), enabled: v.optional(v.boolean()) })),
        ),
      }),
    ),
  }),
  status: v.optional(
    v.looseObject({
      resources: v.optional(
        v.array(v.looseObject({ kind: v.string(), namespace: v.optional(v.string()), name: v.string() })),
      ),
    }),
  ),
});

/**
 * The application whose object it is by its marks. The annotation is "application:group/kind:namespace/name"; on a copy it names another object, and Argo CD
 * passes over that one.
 */
function argoTracking(object: KubeObject): string | null {
  const { annotations, labels, namespace, name } = object.metadata;
  const tracking = annotations?.["argocd.argoproj.io/tracking-id"];
  if (tracking === undefined) return labels?.["argocd.argoproj.io/instance"] ?? null;
  const own = `:${groupOf(object.apiVersion)}/${object.kind}:${namespace}/${name}`;
  return tracking.endsWith(own) ? tracking.slice(0, -own.length) : null;
}

function argoOn(object: KubeObject, applications: readonly KubeObject[] | null): readonly Influence[] {
  const tracking = argoTracking(object);
  if (applications === null && tracking !== null)
    return is("reverts", `Argo CD's ${tracking} has ${tell(object)}, and may heal it: that cannot be seen`);
  const found = (applications ?? []).flatMap((application) => {
    if (!accepts(argoSchema, application)) return [];
    const has = (application.status?.resources ?? []).some(
      ({ kind, namespace, name }) =>
        kind === object.kind && namespace === object.metadata.namespace && name === object.metadata.name,
    );
    if (!has && application.metadata.name !== tracking?.split("_").at(-1)) return [];
    const automated = application.spec.syncPolicy?.automated;
    return automated?.selfHeal === true && automated.enabled !== false
      ? is("reverts", `${tell(application)} of Argo CD heals ${tell(object)}`)
      : is("argo-cd", `${tell(application)} of Argo CD has ${tell(object)}`);
  });
  if (found.length > 0 || tracking === null) return found;
  return is("argo-cd", `Argo CD's ${tracking}, which is not on this cluster, has ${tell(object)}`);
}

const suspendableSchema = v.looseObject({
  spec: v.looseObject({ suspend: v.optional(v.boolean(), false) }),
});
const inventorySchema = v.looseObject({
  status: v.looseObject({
    inventory: v.looseObject({ entries: v.array(v.looseObject({ id: v.string() })) }),
  }),
});

function fluxOn(
  object: KubeObject,
  group: "kustomize" | "helm",
  sources: readonly KubeObject[] | null,
): readonly Influence[] {
  const { labels = {}, namespace, name } = object.metadata;
  const label = (part: string): string | undefined => labels[`${group}.toolkit.fluxcd.io/${part}`];
  const sourceName = label("name");
  if (sourceName === undefined) return [];
  const kind = group === "kustomize" ? "Kustomization" : "HelmRelease";
  const source = describeName({ kind, namespace: label("namespace") ?? namespace, name: sourceName });
  if (sources === null)
    return is("reverts", `${source} of Flux has ${tell(object)}, and may put it back: that cannot be seen`);
  const found = sources.find((one) => tell(one) === source);
  if (found === undefined)
    return is("flux", `${source} of Flux, which is not on this cluster, has ${tell(object)}`);
  // On a copy the labels say what Flux does not know of.
  const id = [namespace, name, groupOf(object.apiVersion), object.kind].join("_");
  if (accepts(inventorySchema, found) && !found.status.inventory.entries.some((entry) => entry.id === id))
    return [];
  return accepts(suspendableSchema, found) && found.spec.suspend === true
    ? is("flux", `${source} of Flux, which is suspended, has ${tell(object)}`)
    : is("reverts", `${source} of Flux puts ${tell(object)} back`);
}

const ownersOf = (object: KubeObject): readonly Influence[] =>
  (object.metadata.ownerReferences ?? [])
    .filter(({ apiVersion }) => !groupOf(apiVersion).startsWith(ownDomain))
    .map(({ apiVersion, kind, name }) => ({
      kind: "operator",
      detail: `${kind} ${name} of ${apiVersion} owns ${tell(object)}`,
    }));

const recreating: ReadonlySet<string> = new Set([
  "CronJob",
  "DaemonSet",
  "Deployment",
  "Job",
  "ReplicaSet",
  "ReplicationController",
  "StatefulSet",
]);

const recreationOf = (object: KubeObject): readonly Influence[] =>
  recreating.has(object.kind) ? is("controller", `${tell(object)} makes its pods anew`) : [];

function budgetsOn(object: KubeObject, budgets: readonly KubeObject[] | null): readonly Influence[] {
  const labels = podTemplateOf(object)?.metadata.labels;
  if (labels === undefined) return [];
  return (budgets ?? []).flatMap((budget) =>
    budget.metadata.namespace === object.metadata.namespace && selects(budget, labels)
      ? is("disruption-budget", `${tell(budget)} guards the pods of ${tell(object)}`)
      : [],
  );
}

/** What the platform sets it also takes away: those have no domain, or one of its own. */
const isForeign = (finalizer: string): boolean =>
  finalizer.includes("/") &&
  !/^(?:[a-z0-9.-]+\.)?kubernetes\.io\//.test(finalizer) &&
  !finalizer.startsWith(ownDomain);

const finalizersOn = (object: KubeObject): readonly Influence[] =>
  (object.metadata.finalizers ?? []).filter(isForeign).map((finalizer) => ({
    kind: "finalizer",
    detail: `${tell(object)} waits for whoever set ${finalizer}`,
  }));

const restartsOf = (object: KubeObject): readonly Influence[] =>
  podTemplateOf(object)?.spec.restartPolicy === "Never"
    ? is("never-restarted", `${tell(object)} has restartPolicy Never`)
    : [];
