import { AppError } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import type { KubeObject } from "../kube-object.ts";
import { type SurveyParams, surveyWorkload } from "./survey-workload.ts";

const namespace = "shop";
const object = (kind: string, name: string, rest: object = {}, metadata: object = {}): KubeObject => ({
  apiVersion: apiVersionOf[kind] ?? "v1",
  kind,
  metadata: { name, ...(clusterScoped.has(kind) ? {} : { namespace }), ...metadata },
  ...rest,
});
const clusterScoped: ReadonlySet<string> = new Set(["Namespace", "PriorityClass"]);
const apiVersionOf: Readonly<Record<string, string>> = {
  Deployment: "apps/v1",
  HorizontalPodAutoscaler: "autoscaling/v1",
  PodDisruptionBudget: "policy/v1beta1",
  PriorityClass: "scheduling.k8s.io/v1",
};
const core = ["Namespace", "Secret", "ConfigMap", "Service", "ServiceAccount", "ResourceQuota", "LimitRange"];

/** A cluster that has these objects; `refuse` says what nobody may do there, by "verb Kind". */
function fakeClient(
  standing: readonly KubeObject[],
  {
    refuse = [],
    unknown = [],
  }: { readonly refuse?: readonly string[]; readonly unknown?: readonly string[] } = {},
): SurveyParams["client"] {
  const served = new Set([...core, ...Object.keys(apiVersionOf)]);
  const check = (verb: string, kind: string): void => {
    if (refuse.includes(`${verb} ${kind}`))
      throw new AppError("cluster-unavailable", `cannot ${verb} ${kind}: it is not allowed`);
  };
  return {
    serves: async ({ apiVersion, kind }) => {
      check("serve", kind);
      return served.has(kind) && (apiVersionOf[kind] ?? "v1") === apiVersion;
    },
    get: async ({ kind, name }) => {
      check("get", kind);
      return standing.find((one) => one.kind === kind && one.metadata.name === name) ?? null;
    },
    list: async ({ kind, labels }) => {
      check("list", kind);
      const [key = "", value] = labels?.split("=") ?? [];
      return standing.filter(
        (one) => one.kind === kind && (labels === undefined || one.metadata.labels?.[key] === value),
      );
    },
    allows: async ({ kind, verb }) => {
      if (unknown.includes(`${verb} ${kind}`)) throw new AppError("cluster-unavailable", "no answer");
      return !refuse.includes(`${verb} ${kind}`);
    },
  };
}

const container = {
  name: "main",
  envFrom: [{ secretRef: { name: "database" } }],
  env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "settings", key: "mode" } } }],
};
const workload = object("Deployment", "ledger", {
  spec: {
    template: {
      metadata: { labels: { app: "ledger" } },
      spec: { containers: [container], priorityClassName: "high", terminationGracePeriodSeconds: 45 },
    },
  },
});
const service = object("Service", "ledger");
const secret = object("Secret", "database", { data: { password: "aHVudGVyMg==" } });
const settings = object("ConfigMap", "settings", { data: { mode: "calm" } });
const all = [
  object("Namespace", namespace),
  object("ServiceAccount", "default"),
  object("PriorityClass", "high"),
  secret,
  settings,
];
const salt = Buffer.from("salt");

const survey = (client: SurveyParams["client"], change: Partial<SurveyParams> = {}) =>
  surveyWorkload({
    client,
    namespace,
    objects: [workload, service],
    workload,
    placement: null,
    placementLabel: "baton.dev/placement",
    rights: [],
    salt,
    signal: new AbortController().signal,
    ...change,
  });
const states = async (...given: Parameters<typeof survey>) =>
  Object.fromEntries((await survey(...given)).references.map(({ what, state }) => [what, state]));
const without = (...gone: readonly KubeObject[]) => all.filter((one) => !gone.includes(one));

describe("a survey", () => {
  it("finds all that a workload needs where it is, and nothing else to say", async () => {
    const seen = await survey(fakeClient(all));
    expect(seen.references.map(({ what, state }) => `${what}: ${state}`)).toEqual([
      "kind Deployment of apps/v1: there",
      "kind Service of v1: there",
      "ConfigMap settings: there",
      "Namespace of the workload: there",
      "PriorityClass high: there",
      "Secret database: there",
      "ServiceAccount default: there",
    ]);
    expect(seen).toMatchObject({ missingRights: [], refusals: [], unseen: [], graceMs: null });
    expect(seen.influences.map(({ kind }) => kind)).toEqual(["controller"]);
  });

  it("says what is absent, what lacks a key, and what it may not look at", async () => {
    expect(await states(fakeClient(without(secret)))).toMatchObject({ "Secret database": "absent" });
    const empty = object("ConfigMap", "settings", { data: {} });
    const { references } = await survey(fakeClient([...without(settings), empty]));
    expect(references).toContainEqual(
      expect.objectContaining({
        what: "ConfigMap settings",
        state: "absent",
        detail: "it is there without the key mode",
      }),
    );
    const blind = fakeClient(all, { refuse: ["get Secret", "serve Service"] });
    expect(await states(blind)).toMatchObject({
      "Secret database": "unknown",
      "kind Service of v1": "unknown",
    });
  });

  it("follows what a service account names", async () => {
    const account = object("ServiceAccount", "default", { imagePullSecrets: [{ name: "registry" }] });
    const others = all.filter(({ kind }) => kind !== "ServiceAccount");
    expect(await states(fakeClient([...others, account]))).toMatchObject({ "Secret registry": "absent" });
  });

  it("has the same digest of the same content by the same salt, and nothing of the content", async () => {
    const digestOf = async (standing: readonly KubeObject[], by = salt) => {
      const seen = await survey(fakeClient(standing), { salt: by });
      expect(JSON.stringify(seen)).not.toMatch(/hunter2|aHVudGVyMg/);
      return seen.references.find(({ what }) => what === "Secret database")?.digest;
    };
    const first = await digestOf(all);
    const relabelled = { ...secret, metadata: { ...secret.metadata, labels: { a: "b" }, uid: "2" } };
    expect(await digestOf([...without(secret), relabelled])).toBe(first);
    const other = object("Secret", "database", { data: { password: "b3RoZXI=" } });
    expect(await digestOf([...without(secret), other])).not.toBe(first);
    expect(await digestOf(all, Buffer.from("pepper"))).not.toBe(first);
  });

  it("names each right that is refused, and what nobody answered about", async () => {
    const rights = [
      { apiVersion: "v1", kind: "Secret", verbs: ["get", "create"] },
      { apiVersion: "v1", kind: "Service", part: "proxy", verbs: ["get"] },
    ];
    const client = fakeClient(all, { refuse: ["create Secret", "get Service"] });
    expect((await survey(client, { rights })).missingRights).toEqual([
      "create Secret in namespace shop",
      "get Service's proxy in namespace shop",
    ]);
    const seen = await survey(fakeClient(all, { unknown: ["get Secret", "create Secret"] }), { rights });
    expect(seen).toMatchObject({ missingRights: [], unseen: ["no answer"] });
  });

  it("sees who acts on the placement's own workload, by its own name", async () => {
    const placed = {
      ...workload,
      metadata: { ...workload.metadata, name: "ledger-1", labels: { "baton.dev/placement": "pl-1" } },
    };
    const scaler = (name: string) =>
      object("HorizontalPodAutoscaler", "scaler", { spec: { scaleTargetRef: { kind: "Deployment", name } } });
    const kinds = async (...more: readonly KubeObject[]) =>
      (await survey(fakeClient([...all, placed, ...more]), { placement: "pl-1" })).influences.map(
        ({ kind }) => kind,
      );
    expect(await kinds(scaler("ledger"))).toEqual(["controller"]);
    expect(await kinds(scaler("ledger-1"))).toEqual(["autoscaler", "controller"]);
    const budget = object("PodDisruptionBudget", "two", { spec: { selector: {} } });
    expect(await kinds(budget)).toEqual(["controller", "disruption-budget"]);
    expect((await survey(fakeClient([...all, placed]), { placement: "pl-1" })).graceMs).toBe(45_000);
  });

  it("sees the same workload that somebody else made", async () => {
    expect((await survey(fakeClient([...all, workload]))).influences[0]).toEqual({
      kind: "unmanaged",
      detail: "Deployment shop/ledger is there, and Baton did not make it",
    });
  });

  it("sees what stands there already rather than what would be put there", async () => {
    const held = object("Service", "ledger", {}, { finalizers: ["example.com/keep"] });
    expect((await survey(fakeClient([...all, held]))).influences.map(({ kind }) => kind)).toContain(
      "finalizer",
    );
  });

  it("says each thing that could not be looked at", async () => {
    const verbs = ["get Service", "get Deployment", "list HorizontalPodAutoscaler", "serve Application"];
    const { unseen } = await survey(fakeClient(all, { refuse: verbs }));
    expect(unseen).toEqual(expect.arrayContaining(verbs.map((verb) => `cannot ${verb}: it is not allowed`)));
    const placed = fakeClient(all, { refuse: ["list Deployment"] });
    expect((await survey(placed, { placement: "pl-1" })).unseen).toHaveLength(1);
  });

  it("knows whether a quota lets the pod in", async () => {
    const quota = (pods: string) =>
      object("ResourceQuota", "small", { spec: {}, status: { hard: { pods }, used: { pods: "1" } } });
    expect((await survey(fakeClient([...all, quota("1")]))).refusals).toHaveLength(1);
    expect((await survey(fakeClient([...all, quota("2")]))).refusals).toEqual([]);
  });

  it("of an application without objects is what may be done there", async () => {
    const seen = await survey(fakeClient(all), { objects: [], workload: null, placement: "pl-1" });
    expect(seen).toMatchObject({ influences: [], references: [], graceMs: null, unseen: [] });
  });
});
