import { randomBytes } from "node:crypto";
import { type KubeObject, driverRights, openKubeClient, surveyWorkload } from "@baton/clusters/testing";
import type { ClusterSurvey } from "@baton/clusters";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type SurveyBed, openSurveyBed, whyNoKube } from "./survey-bed.ts";

const reason = await whyNoKube();

/** Custom resources of which nothing but the kind is needed. */
const bareKind = (group: string, version: string, kind: string) => {
  const plural = `${kind.toLowerCase()}s`;
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { plural, kind },
      versions: [{ name: version, served: true, storage: true, schema }],
    },
  };
};
const gitOps = [
  bareKind("keda.sh", "v1alpha1", "ScaledObject"),
  bareKind("argoproj.io", "v1alpha1", "Application"),
  bareKind("kustomize.toolkit.fluxcd.io", "v1beta2", "Kustomization"),
];

describe(
  "a survey of a real cluster",
  {
    skip: reason !== null,
    meta: { needs: { part: "kube", reason: reason ?? "it is there" } },
  },
  () => {
    let bed: SurveyBed;
    let client: ReturnType<typeof openKubeClient>;

    beforeAll(async () => {
      bed = await openSurveyBed();
      client = openKubeClient({ kubeconfig: bed.kubeconfig });
    }, 180_000);
    afterAll(async () => {
      await bed.kubectl(
        "delete",
        "crd",
        "--ignore-not-found",
        ...gitOps.map(({ metadata: { name } }) => name),
      );
      await bed.end();
    }, 180_000);

    const workload = (namespace = bed.namespace): KubeObject => ({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "ledger", namespace },
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: "ledger" } },
        template: {
          metadata: { labels: { app: "ledger" } },
          spec: {
            priorityClassName: "high",
            imagePullSecrets: [{ name: "registry" }],
            containers: [
              {
                name: "main",
                image: "none",
                envFrom: [{ secretRef: { name: "database" } }],
                volumeMounts: [{ name: "data", mountPath: "/data" }],
              },
            ],
            volumes: [{ name: "data", persistentVolumeClaim: { claimName: "ledger" } }],
          },
        },
      },
    });
    const service = (namespace: string): KubeObject => ({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "ledger", namespace },
      spec: { clusterIP: "None", selector: { app: "ledger" } },
    });
    const look = (salt = randomBytes(32), namespace = bed.namespace): Promise<ClusterSurvey> => {
      const own = workload(namespace);
      const objects = [own, service(namespace)];
      return surveyWorkload({
        client,
        namespace,
        objects,
        workload: own,
        placement: "pl-1",
        placementLabel: "baton.dev/placement",
        rights: driverRights(objects, own),
        salt,
        signal: AbortSignal.timeout(60_000),
      });
    };
    const stateOf = ({ references }: ClusterSurvey, what: string) =>
      references.find((one) => one.what === what)?.state;
    const secret = (password: string, namespace = bed.namespace) => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "database", namespace },
      stringData: { password },
    });

    it("has all rights, and sees all that there is, with what rbac.yaml gives", async () => {
      const survey = await look();
      expect(survey.missingRights).toEqual([]);
      expect(survey.unseen).toEqual([]);
      expect(survey.influences.map(({ kind }) => kind)).toEqual(["controller"]);
    });

    it("says what is absent, in the namespace and in the cluster", async () => {
      const survey = await look();
      const absent = [
        "Secret database",
        "Secret registry",
        "PersistentVolumeClaim ledger",
        "PriorityClass high",
      ];
      for (const what of absent) expect([what, stateOf(survey, what)]).toEqual([what, "absent"]);
      for (const what of [
        "kind Deployment of apps/v1",
        "ServiceAccount default",
        "Namespace of the workload",
      ])
        expect([what, stateOf(survey, what)]).toEqual([what, "there"]);
      await bed.create(secret("one"));
      expect(stateOf(await look(), "Secret database")).toBe("there");
    });

    it("says that it does not know what it may not read, and names each right that was taken away", async () => {
      const role = JSON.parse(
        await bed.kubectl("--namespace", bed.namespace, "get", "role", "baton", "--output", "json"),
      ) as {
        readonly rules: readonly {
          readonly resources: readonly string[];
          readonly verbs: readonly string[];
        }[];
      };
      const put = (rules: readonly object[]) =>
        bed.create({
          apiVersion: "rbac.authorization.k8s.io/v1",
          kind: "Role",
          metadata: { name: "baton", namespace: bed.namespace },
          rules,
        });
      const without = (resource: string, verb: string) =>
        role.rules
          .map((rule) => ({
            ...rule,
            verbs: rule.verbs.filter((one) => one !== verb || !rule.resources.includes(resource)),
          }))
          .filter(({ verbs }) => verbs.length > 0);
      try {
        for (const [resource, verb, words] of [
          ["secrets", "create", "create Secret"],
          ["pods", "patch", "patch Pod"],
          ["pods/exec", "get", "get Pod's exec"],
          ["deployments", "delete", "delete Deployment"],
          ["services", "patch", "patch Service"],
        ] as const) {
          await put(without(resource, verb));
          await expect
            .poll(async () => (await look()).missingRights, { timeout: 30_000 })
            .toEqual([`${words} in namespace ${bed.namespace}`]);
        }
        await put(without("secrets", "get"));
        await expect
          .poll(async () => stateOf(await look(), "Secret database"), { timeout: 30_000 })
          .toBe("unknown");
        await put(without("horizontalpodautoscalers", "list"));
        await expect
          .poll(async () => (await look()).unseen, { timeout: 30_000 })
          .toEqual([expect.stringContaining('"list" of horizontalpodautoscalers.autoscaling') as string]);
      } finally {
        await put(role.rules);
      }
      await expect.poll(async () => (await look()).unseen, { timeout: 30_000 }).toEqual([]);
    });

    it("compares what two places have, and shows nothing of it", async () => {
      const { namespace, secondNamespace } = bed;
      await bed.kubectl(
        "--namespace",
        secondNamespace,
        "create",
        "rolebinding",
        "baton",
        "--clusterrole=admin",
        `--serviceaccount=${namespace}:baton`,
      );
      const salt = randomBytes(32);
      const digestIn = async (where: string) =>
        (await look(salt, where)).references.find(({ what }) => what === "Secret database")?.digest;
      await bed.create(secret("hunter2"), secret("hunter2", secondNamespace));
      await expect.poll(() => digestIn(secondNamespace), { timeout: 30_000 }).toMatch(/^[0-9a-f]{64}$/);
      expect(await digestIn(secondNamespace)).toBe(await digestIn(namespace));
      await bed.create(secret("hunter3", secondNamespace));
      expect(await digestIn(secondNamespace)).not.toBe(await digestIn(namespace));
      const text = JSON.stringify(await look());
      for (const shown of ["hunter2", Buffer.from("hunter2").toString("base64")])
        expect(text).not.toContain(shown);
    });

    it("sees who acts on a placement's workload: scalers, GitOps, budgets, owners, finalizers", async () => {
      const { namespace } = bed;
      const labels = {
        "baton.dev/placement": "pl-1",
        "kustomize.toolkit.fluxcd.io/name": "apps",
        "kustomize.toolkit.fluxcd.io/namespace": namespace,
      };
      const own = workload();
      await bed.create({
        ...own,
        metadata: { ...own.metadata, name: "ledger-1", labels, finalizers: ["example.com/backup"] },
      });
      const kinds = async () => (await look()).influences.map(({ kind }) => kind).toSorted();
      try {
        expect(await kinds()).toEqual(["controller", "finalizer", "flux"]);
        await bed.create(...gitOps);
        await bed.kubectl(
          "wait",
          "--for=condition=Established",
          "--timeout=30s",
          ...gitOps.map(({ metadata }) => `crd/${metadata.name}`),
        );
        const target = { kind: "Deployment", name: "ledger-1" };
        const here = { namespace };
        await bed.create(
          {
            apiVersion: "autoscaling/v1",
            kind: "HorizontalPodAutoscaler",
            metadata: { name: "ledger", ...here },
            spec: { maxReplicas: 3, scaleTargetRef: { apiVersion: "apps/v1", ...target } },
          },
          {
            apiVersion: "policy/v1beta1",
            kind: "PodDisruptionBudget",
            metadata: { name: "ledger", ...here },
            spec: { minAvailable: 1, selector: { matchLabels: { app: "ledger" } } },
          },
          {
            apiVersion: "keda.sh/v1alpha1",
            kind: "ScaledObject",
            metadata: { name: "ledger", ...here },
            spec: { scaleTargetRef: target },
          },
          {
            apiVersion: "argoproj.io/v1alpha1",
            kind: "Application",
            metadata: { name: "ledger", ...here },
            spec: {},
            status: { resources: [{ group: "apps", ...target, ...here }] },
          },
          {
            apiVersion: "kustomize.toolkit.fluxcd.io/v1beta2",
            kind: "Kustomization",
            metadata: { name: "apps", ...here },
            spec: { suspend: false },
          },
        );
        const acting = [
          "argo-cd",
          "autoscaler",
          "controller",
          "disruption-budget",
          "finalizer",
          "keda",
          "reverts",
        ];
        await expect.poll(kinds, { timeout: 30_000 }).toEqual(acting);
      } finally {
        // Else the namespace never goes.
        await bed.kubectl(
          "--namespace",
          namespace,
          "patch",
          "deployment",
          "ledger-1",
          "--type=merge",
          "--patch",
          JSON.stringify({ metadata: { finalizers: null } }),
        );
      }
    });

    it("knows that a quota leaves no room, and what a limit range refuses", async () => {
      const { namespace } = bed;
      const spec = { hard: { pods: "0" } };
      const limits = [{ type: "Container", max: { memory: "64Mi" }, default: { memory: "64Mi" } }];
      await bed.create(
        { apiVersion: "v1", kind: "ResourceQuota", metadata: { name: "none", namespace }, spec },
        { apiVersion: "v1", kind: "LimitRange", metadata: { name: "small", namespace }, spec: { limits } },
      );
      await expect
        .poll(async () => (await look()).refusals, { timeout: 30_000 })
        .toEqual([expect.stringContaining("leaves 0 of pods") as string]);
    });
  },
);
