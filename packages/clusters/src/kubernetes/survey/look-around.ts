import type { KubeClient, KubeKind } from "../kube-client.ts";
import type { KubeObject } from "../kube-object.ts";
import type { Surroundings } from "./influences-on.ts";
import { type Sight, sight, valueOf, whyOf } from "./sight.ts";

interface Around {
  readonly surroundings: Surroundings;
  readonly quotas: readonly KubeObject[];
  readonly limitRanges: readonly KubeObject[];
  /** Why some of it is not known. */
  readonly unseen: readonly string[];
}

/** The newest first: a server shows an object in every version that it serves. */
const versions = {
  autoscaler: ["autoscaling/v2", "autoscaling/v1"],
  scaledObject: ["keda.sh/v1alpha1"],
  argo: ["argoproj.io/v1alpha1"],
  kustomization: ["kustomize.toolkit.fluxcd.io/v1", "kustomize.toolkit.fluxcd.io/v1beta2"],
  helm: ["helm.toolkit.fluxcd.io/v2", "helm.toolkit.fluxcd.io/v2beta2", "helm.toolkit.fluxcd.io/v2beta1"],
  budget: ["policy/v1", "policy/v1beta1"],
} as const;

/** Who may act on what is in the namespace, and what bounds it. */
export async function lookAround(params: {
  readonly client: Pick<KubeClient, "list" | "serves">;
  readonly namespace: string;
  readonly signal: AbortSignal;
}): Promise<Around> {
  const { client, namespace, signal } = params;
  const served = async (apiVersions: readonly string[], kind: string): Promise<KubeKind | null> => {
    for (const apiVersion of apiVersions)
      if (await client.serves({ apiVersion, kind, signal })) return { apiVersion, kind };
    return null;
  };
  /** Nothing is there of a kind that the server says it does not know. */
  const list = async (
    apiVersions: readonly string[],
    kind: string,
    where: { readonly namespace?: string },
  ) => {
    const known = await served(apiVersions, kind);
    return known === null ? [] : client.list({ ...known, ...where, signal });
  };
  const here = (apiVersions: readonly string[], kind: string) =>
    sight(list(apiVersions, kind, { namespace }));
  // GitOps is kept in namespaces of its own.
  const anywhere = (apiVersions: readonly string[], kind: string) => sight(list(apiVersions, kind, {}));
  const [autoscalers, scaledObjects, budgets, quotas, limitRanges, argo, kustomizations, releases] =
    await Promise.all([
      here(versions.autoscaler, "HorizontalPodAutoscaler"),
      here(versions.scaledObject, "ScaledObject"),
      here(versions.budget, "PodDisruptionBudget"),
      here(["v1"], "ResourceQuota"),
      here(["v1"], "LimitRange"),
      anywhere(versions.argo, "Application"),
      anywhere(versions.kustomization, "Kustomization"),
      anywhere(versions.helm, "HelmRelease"),
    ]);
  const all = [autoscalers, scaledObjects, budgets, quotas, limitRanges, argo, kustomizations, releases];
  return {
    surroundings: {
      autoscalers: valueOf(autoscalers),
      scaledObjects: valueOf(scaledObjects),
      argoApplications: valueOf(argo),
      kustomizations: valueOf(kustomizations),
      helmReleases: valueOf(releases),
      disruptionBudgets: valueOf(budgets),
    },
    quotas: valueOf(quotas) ?? [],
    limitRanges: valueOf(limitRanges) ?? [],
    unseen: all.flatMap((seen: Sight<unknown>) => whyOf(seen)),
  };
}
