import { describe, expect, it } from "vitest";
import { type Surroundings, influencesOn } from "./influences-on.ts";
import type { KubeObject } from "../kube-object.ts";

const object = (kind: string, name: string, rest: object = {}, metadata: object = {}, apiVersion = "v1") =>
  ({ apiVersion, kind, metadata: { name, namespace: "shop", ...metadata }, ...rest }) as KubeObject;
const pod = (spec: object = {}, metadata: object = {}) =>
  object("Pod", "ledger", { spec: { containers: [], ...spec } }, { labels: { app: "ledger" }, ...metadata });
const service = (metadata: object = {}) => object("Service", "ledger", {}, metadata);
const nobody: Surroundings = {
  autoscalers: [],
  scaledObjects: [],
  argoApplications: [],
  kustomizations: [],
  helmReleases: [],
  disruptionBudgets: [],
};
const found = (one: ReturnType<typeof pod>, around: Partial<Surroundings> = {}) =>
  influencesOn([one], { ...nobody, ...around });
const kinds = (...given: Parameters<typeof found>) => found(...given).map(({ kind }) => kind);

const deployment = object("Deployment", "ledger", {
  spec: { template: { metadata: { labels: { app: "ledger" } }, spec: { containers: [] } } },
});
const scaler = (kind: string, scaleTargetRef: object, metadata: object = {}) =>
  object(kind, "scaler", { spec: { scaleTargetRef } }, metadata);
const argo = (spec: object, resources: readonly object[] = [], name = "shop") =>
  object("Application", name, { spec, status: { resources } }, { namespace: "argocd" });
const healing = { syncPolicy: { automated: { selfHeal: true } } };
const tracked = service({ annotations: { "argocd.argoproj.io/tracking-id": "shop:/Service:shop/ledger" } });
const flux = (group: "kustomize" | "helm", kind: string, spec: object) => ({
  of: service({
    labels: {
      [`${group}.toolkit.fluxcd.io/name`]: "apps",
      [`${group}.toolkit.fluxcd.io/namespace`]: "flux-system",
    },
  }),
  source: object(kind, "apps", { spec }, { namespace: "flux-system" }),
});

describe("what acts on a workload", () => {
  it("is nothing where nobody does", () => {
    expect(found(pod())).toEqual([]);
    expect(found(service())).toEqual([]);
  });

  it("is whoever scales it, and nobody who scales another one", () => {
    const scales = (metadata: object, target: object) =>
      kinds(deployment, { autoscalers: [scaler("HorizontalPodAutoscaler", target, metadata)] });
    const it = { kind: "Deployment", name: "ledger" };
    expect(scales({}, it)).toEqual(["autoscaler", "controller"]);
    expect(scales({}, { ...it, name: "other" })).toEqual(["controller"]);
    expect(scales({}, { ...it, kind: "StatefulSet" })).toEqual(["controller"]);
    expect(scales({ namespace: "bank" }, it)).toEqual(["controller"]);
    const made = { apiVersion: "keda.sh/v1alpha1", kind: "ScaledObject", name: "scaler" };
    expect(scales({ ownerReferences: [made] }, it)).toEqual(["controller"]);
    expect(kinds(deployment, { autoscalers: [object("HorizontalPodAutoscaler", "broken")] })).toEqual([
      "controller",
    ]);
  });

  it("is KEDA, which scales deployments where it names no kind, unless it is paused", () => {
    const scales = (metadata: object) =>
      found(deployment, { scaledObjects: [scaler("ScaledObject", { name: "ledger" }, metadata)] });
    expect(scales({})[0]).toEqual({
      kind: "keda",
      detail: "ScaledObject shop/scaler scales Deployment shop/ledger",
    });
    const paused = { annotations: { "autoscaling.keda.sh/paused": "true" } };
    expect(scales(paused).map(({ kind }) => kind)).toEqual(["controller"]);
  });

  it("is the application of Argo CD that lists it, or that its tracking names", () => {
    const listed = { kind: "Service", namespace: "shop", name: "ledger" };
    expect(kinds(service(), { argoApplications: [argo({}, [listed])] })).toEqual(["argo-cd"]);
    expect(kinds(service(), { argoApplications: [argo({}, [{ ...listed, name: "other" }])] })).toEqual([]);
    expect(kinds(tracked, { argoApplications: [argo({})] })).toEqual(["argo-cd"]);
    expect(kinds(tracked, { argoApplications: [argo(healing)] })).toEqual(["reverts"]);
    const labelled = service({ labels: { "argocd.argoproj.io/instance": "argocd_shop" } });
    expect(kinds(labelled, { argoApplications: [argo(healing)] })).toEqual(["reverts"]);
    for (const automated of [null, {}, { selfHeal: false }, { selfHeal: true, enabled: false }])
      expect(kinds(tracked, { argoApplications: [argo({ syncPolicy: { automated } })] })).toEqual([
        "argo-cd",
      ]);
  });

  it("is an Argo CD elsewhere, and one that cannot be looked at may revert", () => {
    expect(found(tracked)).toEqual([
      { kind: "argo-cd", detail: "Argo CD's shop, which is not on this cluster, has Service shop/ledger" },
    ]);
    expect(kinds(tracked, { argoApplications: null })).toEqual(["reverts"]);
    expect(kinds(service(), { argoApplications: null })).toEqual([]);
    expect(kinds(tracked, { argoApplications: [object("Application", "shop")] })).toEqual(["argo-cd"]);
  });

  it.each([
    ["kustomize", "Kustomization"],
    ["helm", "HelmRelease"],
  ] as const)("is Flux by the labels of %s, which puts it back unless it is suspended", (group, kind) => {
    const known = (sources: readonly KubeObject[] | null) =>
      group === "kustomize" ? { kustomizations: sources } : { helmReleases: sources };
    const running = flux(group, kind, {});
    expect(kinds(running.of, known([running.source]))).toEqual(["reverts"]);
    const suspended = flux(group, kind, { suspend: true });
    expect(kinds(suspended.of, known([suspended.source]))).toEqual(["flux"]);
    expect(kinds(running.of, known([]))).toEqual(["flux"]);
    expect(kinds(running.of, known(null))).toEqual(["reverts"]);
  });

  it("is no GitOps that a copy of its object only bears the marks of", () => {
    const copied = { annotations: { "argocd.argoproj.io/tracking-id": "shop:/Service:shop/other" } };
    expect(kinds(service(copied), { argoApplications: [argo(healing)] })).toEqual([]);
    const { of, source } = flux("kustomize", "Kustomization", {});
    const entries = (...ids: readonly string[]) => [
      { ...source, status: { inventory: { entries: ids.map((id) => ({ id, v: "v1" })) } } },
    ];
    expect(kinds(of, { kustomizations: entries("shop_other__Service") })).toEqual([]);
    expect(kinds(of, { kustomizations: entries("shop_ledger__Service") })).toEqual(["reverts"]);
  });

  it("is an operator that owns it", () => {
    const owner = (apiVersion: string) => ({ apiVersion, kind: "Shop", name: "it" });
    expect(found(service({ ownerReferences: [owner("example.com/v1")] }))).toEqual([
      { kind: "operator", detail: "Shop it of example.com/v1 owns Service shop/ledger" },
    ]);
  });

  it("is a budget for its pods", () => {
    const budget = (selector: object, namespace = "shop") =>
      object("PodDisruptionBudget", "two", { spec: { selector } }, { namespace });
    const guards = (...given: Parameters<typeof budget>) =>
      kinds(pod(), { disruptionBudgets: [budget(...given)] });
    expect(guards({ matchLabels: { app: "ledger" } })).toEqual(["disruption-budget"]);
    expect(guards({ matchLabels: { app: "ledger" } }, "bank")).toEqual([]);
    expect(guards({ matchLabels: { app: "other" } })).toEqual([]);
    expect(kinds(service(), { disruptionBudgets: [budget({})] })).toEqual([]);
    expect(kinds(deployment, { disruptionBudgets: [budget({})] })).toEqual([
      "controller",
      "disruption-budget",
    ]);
  });

  it("is a finalizer of a stranger's, not of ours or the platform's", () => {
    const finalizers = [
      "example.com/backup",
      "foregroundDeletion",
      "service.kubernetes.io/load-balancer-cleanup",
    ];
    expect(found(service({ finalizers }))).toEqual([
      { kind: "finalizer", detail: "Service shop/ledger waits for whoever set example.com/backup" },
    ]);
  });

  it("is a pod's own policy not to be restarted", () =>
    expect(kinds(pod({ restartPolicy: "Never" }))).toEqual(["never-restarted"]));
});
