import { describe, expect, it } from "vitest";
import type { KubeObject } from "../kube-object.ts";
import { describeName } from "./describe-object.ts";
import { referencesOf } from "./references-of.ts";

const pod = (spec: object, metadata: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "ledger", ...metadata },
  spec: { containers: [{ name: "main" }], ...spec },
});
const object = (kind: string, rest: object, metadata: object = {}) => ({
  apiVersion: "v1",
  kind,
  metadata: { name: "ledger", ...metadata },
  ...rest,
});
const find = (...objects: readonly object[]) => referencesOf(objects as readonly KubeObject[], "shop");
const namesOf = (...objects: readonly object[]) => find(...objects).map(describeName);
/** Of what every pod has. */
const always = ["Namespace shop", "ServiceAccount shop/default"];
const added = (...objects: readonly object[]) => namesOf(...objects).filter((name) => !always.includes(name));
const container = (part: object) => pod({ containers: [{ name: "main", ...part }] });
const volume = (part: object) => pod({ volumes: [{ name: "data", ...part }] });

describe("what objects name", () => {
  it("is the namespace and the service account of every pod", () => expect(namesOf(pod({}))).toEqual(always));

  it.each<[string, object, readonly string[]]>([
    [
      "a secret's key in the environment",
      container({ env: [{ name: "A", valueFrom: { secretKeyRef: { name: "a", key: "k" } } }] }),
      ["Secret shop/a"],
    ],
    [
      "a config map's key in the environment",
      container({ env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "a", key: "k" } } }] }),
      ["ConfigMap shop/a"],
    ],
    [
      "whole secrets and config maps in the environment",
      container({ envFrom: [{ secretRef: { name: "a" } }, { configMapRef: { name: "b" } }] }),
      ["ConfigMap shop/b", "Secret shop/a"],
    ],
    [
      "what an init container names",
      pod({ initContainers: [{ name: "first", envFrom: [{ secretRef: { name: "a" } }] }] }),
      ["Secret shop/a"],
    ],
    ["a secret as a volume", volume({ secret: { secretName: "a" } }), ["Secret shop/a"]],
    ["a config map as a volume", volume({ configMap: { name: "a" } }), ["ConfigMap shop/a"]],
    [
      "the parts of a projected volume",
      volume({
        projected: {
          sources: [{ secret: { name: "a" } }, { configMap: { name: "b" } }, { serviceAccountToken: {} }],
        },
      }),
      ["ConfigMap shop/b", "Secret shop/a"],
    ],
    ["a claim", volume({ persistentVolumeClaim: { claimName: "a" } }), ["PersistentVolumeClaim shop/a"]],
    [
      "the class of a claim that lives as long as its pod",
      volume({ ephemeral: { volumeClaimTemplate: { spec: { storageClassName: "fast" } } } }),
      ["StorageClass fast"],
    ],
    [
      "a CSI driver and its secret",
      volume({ csi: { driver: "nfs.csi.k8s.io", nodePublishSecretRef: { name: "a" } } }),
      ["CSIDriver nfs.csi.k8s.io", "Secret shop/a"],
    ],
    ["the secret of an Azure share", volume({ azureFile: { secretName: "a" } }), ["Secret shop/a"]],
    ...["cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"].map(
      (type): [string, object, readonly string[]] => [
        `the secret of a volume of ${type}`,
        volume({ [type]: { secretRef: { name: "a" } } }),
        ["Secret shop/a"],
      ],
    ),
    ["image pull secrets", pod({ imagePullSecrets: [{ name: "a" }, {}] }), ["Secret shop/a"]],
    ["a priority class", pod({ priorityClassName: "high" }), ["PriorityClass high"]],
    ["no priority class of the platform's", pod({ priorityClassName: "system-node-critical" }), []],
    ["a runtime class", pod({ runtimeClassName: "gvisor" }), ["RuntimeClass gvisor"]],
    ["no certificates of the cluster's own", volume({ configMap: { name: "kube-root-ca.crt" } }), []],
    [
      "the classes and volumes of a stateful set's claims",
      object("StatefulSet", {
        spec: {
          template: pod({}),
          volumeClaimTemplates: [{ spec: { storageClassName: "fast", volumeName: "disk" } }, { spec: {} }],
        },
      }),
      ["PersistentVolume disk", "StorageClass fast"],
    ],
    ["the class of a claim", object("PersistentVolumeClaim", { spec: { storageClassName: "" } }), []],
    [
      "the secrets and the class of an ingress",
      object("Ingress", { spec: { ingressClassName: "nginx", tls: [{ secretName: "a" }, {}] } }),
      ["IngressClass nginx", "Secret shop/a"],
    ],
    [
      "the pull secrets of a service account",
      object("ServiceAccount", { imagePullSecrets: [{ name: "a" }] }),
      ["Secret shop/a"],
    ],
    [
      "the role of a binding",
      object("RoleBinding", { roleRef: { kind: "Role", name: "a" } }),
      ["Role shop/a"],
    ],
    [
      "the cluster's role of a binding",
      object("RoleBinding", { roleRef: { kind: "ClusterRole", name: "view" } }),
      ["ClusterRole view"],
    ],
    ["nothing of a kind that is not known", object("Widget", { spec: { secretName: "a" } }), []],
  ])("has %s", (_what, given, names) => expect(added(given)).toEqual(names));

  it.each(["DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"])(
    "is found in the pods of a %s",
    (kind) =>
      expect(added(object(kind, { spec: { template: pod({ serviceAccountName: "a" }) } }))).toEqual([
        "ServiceAccount shop/a",
      ]),
  );

  it("is found in the pods of cron jobs and pod templates", () => {
    const template = pod({ serviceAccountName: "a" });
    expect(added(object("CronJob", { spec: { jobTemplate: { spec: { template } } } }))).toEqual([
      "ServiceAccount shop/a",
    ]);
    expect(added(object("PodTemplate", { template }))).toEqual(["ServiceAccount shop/a"]);
  });

  it("is looked for where the object is", () =>
    expect(namesOf(pod({ volumes: [{ secret: { secretName: "a" } }] }, { namespace: "bank" }))).toEqual([
      "Namespace bank",
      "Secret bank/a",
      "ServiceAccount bank/default",
    ]));

  it("is not what they bring themselves, and what those name is", () => {
    const secret = object("Secret", {}, { name: "a" });
    const account = object("ServiceAccount", { imagePullSecrets: [{ name: "b" }] }, { name: "robot" });
    const spec = { serviceAccountName: "robot", volumes: [{ secret: { secretName: "a" } }] };
    expect(namesOf(pod(spec), secret, account)).toEqual(["Namespace shop", "Secret shop/b"]);
    expect(
      namesOf(pod({ volumes: [{ secret: { secretName: "a" } }] }, { namespace: "bank" }), secret),
    ).toContain("Secret bank/a");
  });

  it("is not what a namespace that they bring gets by itself", () =>
    expect(namesOf(pod({}), object("Namespace", {}, { name: "shop" }))).toEqual([]));

  it("is needed where one of them cannot do without, with all the keys that are", () => {
    const env = (key: string, optional: boolean) => ({
      name: key,
      valueFrom: { secretKeyRef: { name: "a", key, optional } },
    });
    const secretOf = (...given: object[]) =>
      find(container({ env: given })).find(({ kind }) => kind === "Secret");
    expect(secretOf(env("x", true))).toMatchObject({ optional: true, keys: [] });
    expect(secretOf(env("y", false), env("x", true), env("z", false), env("y", false))).toMatchObject({
      optional: false,
      keys: ["y", "z"],
    });
    expect(
      find(volume({ secret: { secretName: "a", items: [{ key: "tls.crt", path: "x" }] } })),
    ).toContainEqual(expect.objectContaining({ kind: "Secret", keys: ["tls.crt"] }));
  });

  it("cannot be told of a pod that cannot be read, and no value is in the error", () => {
    const wrong = () => find(container({ env: [{ name: "A", valueFrom: { secretKeyRef: { key: 7 } } }] }));
    expect(wrong).toThrow(
      'cannot read the pod of Pod ledger: "spec.containers[0].env[0].valueFrom.secretKeyRef.key"',
    );
    expect(() => find(volume({ secret: "hunter2" }))).toThrow(/^(?!.*hunter2)/);
    expect(() => find(object("Deployment", { spec: { template: {} } }))).toThrow("spec");
  });
});
