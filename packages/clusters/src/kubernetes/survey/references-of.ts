import { parseAs } from "@baton/protocol";
import * as v from "valibot";
import type { KubeObject } from "../kube-object.ts";
import { describeName, describeObject } from "./describe-object.ts";
import { type PodSpec, type Volume, podTemplateOf } from "./pod-template.ts";

/** Something that objects name and that is to be there already. */
export interface Reference {
  readonly apiVersion: string;
  readonly kind: string;
  /** Null for what belongs to no namespace. */
  readonly namespace: string | null;
  readonly name: string;
  /** Whoever names it can do without. */
  readonly optional: boolean;
  /** What must be in it. */
  readonly keys: readonly string[];
}

/**
 * All that the objects name and do not bring themselves, each once, by kind and name. What a kind that we do not know names is not seen: only the kind
 * itself is asked for.
 *
 * @param namespace of objects that say none
 * @throws `invalid-manifest` for a pod, a claim or an ingress that cannot be read
 */
export function referencesOf(objects: readonly KubeObject[], namespace: string): readonly Reference[] {
  const brought = new Set(objects.map((object) => keyOf(atHome(object, namespace))));
  const all = new Map<string, Reference>();
  for (const object of objects)
    for (const one of namedBy(object, object.metadata.namespace ?? namespace)) {
      const key = keyOf(one);
      const before = all.get(key);
      if (!brought.has(key) && !comesWithNamespace(one, brought))
        all.set(key, before === undefined ? one : merge(before, one));
    }
  return [...all.values()].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** What the platform makes in every namespace: one that is brought gets it later, and the certificates are each cluster's own. */
const comesWithNamespace = ({ kind, name, namespace }: Reference, brought: ReadonlySet<string>): boolean =>
  (kind === "ServiceAccount" &&
    name === "default" &&
    brought.has(keyOf({ kind: "Namespace", name: namespace ?? "" }))) ||
  (kind === "ConfigMap" && name === "kube-root-ca.crt");

const atHome = ({ kind, metadata }: KubeObject, namespace: string) => ({
  kind,
  name: metadata.name,
  namespace: clusterScoped.has(kind) ? null : (metadata.namespace ?? namespace),
});

const clusterScoped: ReadonlySet<string> = new Set([
  "ClusterRole",
  "CSIDriver",
  "IngressClass",
  "Namespace",
  "PersistentVolume",
  "PriorityClass",
  "RuntimeClass",
  "StorageClass",
]);

const keyOf = describeName;

const merge = (a: Reference, b: Reference): Reference => ({
  ...a,
  optional: a.optional && b.optional,
  keys: [...new Set([...a.keys, ...b.keys])].toSorted(),
});

type Names = (
  kind: keyof typeof apiVersions,
  name: string | undefined,
  how?: { readonly optional?: boolean; readonly keys?: readonly string[] },
) => readonly Reference[];

const apiVersions = {
  ClusterRole: "rbac.authorization.k8s.io/v1",
  ConfigMap: "v1",
  CSIDriver: "storage.k8s.io/v1",
  IngressClass: "networking.k8s.io/v1",
  Namespace: "v1",
  PersistentVolume: "v1",
  PersistentVolumeClaim: "v1",
  PriorityClass: "scheduling.k8s.io/v1",
  Role: "rbac.authorization.k8s.io/v1",
  RuntimeClass: "node.k8s.io/v1",
  Secret: "v1",
  ServiceAccount: "v1",
  StorageClass: "storage.k8s.io/v1",
} as const;

function namedBy(object: KubeObject, namespace: string): readonly Reference[] {
  const names: Names = (kind, name, { optional = false, keys = [] } = {}) =>
    name === undefined || name === ""
      ? []
      : [
          {
            apiVersion: apiVersions[kind],
            kind,
            namespace: clusterScoped.has(kind) ? null : namespace,
            name,
            optional,
            // A key of what may be absent may be absent as well.
            keys: optional ? [] : keys,
          },
        ];
  const template = podTemplateOf(object);
  return [
    ...(clusterScoped.has(object.kind) ? [] : names("Namespace", namespace)),
    ...(template === null ? [] : namedByPod(template.spec, names)),
    ...namedByKind(object, names),
  ];
}

function namedByPod(spec: PodSpec, names: Names): readonly Reference[] {
  return [
    ...[...spec.initContainers, ...spec.containers].flatMap(({ env, envFrom }) => [
      ...env.flatMap(({ valueFrom: { secretKeyRef: secret, configMapKeyRef: config } = {} }) => [
        ...names("Secret", secret?.name, { optional: secret?.optional ?? false, keys: [secret?.key ?? ""] }),
        ...names("ConfigMap", config?.name, {
          optional: config?.optional ?? false,
          keys: [config?.key ?? ""],
        }),
      ]),
      ...envFrom.flatMap(({ secretRef, configMapRef }) => [
        ...names("Secret", secretRef?.name, secretRef),
        ...names("ConfigMap", configMapRef?.name, configMapRef),
      ]),
    ]),
    ...spec.volumes.flatMap((volume) => namedByVolume(volume, names)),
    ...spec.imagePullSecrets.flatMap(({ name }) => names("Secret", name)),
    ...names("ServiceAccount", spec.serviceAccountName),
    ...(platformPriorities.has(spec.priorityClassName ?? "")
      ? []
      : names("PriorityClass", spec.priorityClassName)),
    ...names("RuntimeClass", spec.runtimeClassName),
  ];
}

/** Every cluster has them. */
const platformPriorities: ReadonlySet<string> = new Set(["system-cluster-critical", "system-node-critical"]);

type Listed = Volume["configMap"];

function namedByVolume(volume: Volume, names: Names): readonly Reference[] {
  const listed = (kind: "Secret" | "ConfigMap", one: Listed, name = one?.name) =>
    names(kind, name, { optional: one?.optional ?? false, keys: one?.items.map(({ key }) => key) ?? [] });
  const { secret, csi, ephemeral } = volume;
  const { azureFile, cephfs, cinder, flexVolume, iscsi, rbd, scaleIO, storageos } = volume;
  const remote = [cephfs, cinder, flexVolume, iscsi, rbd, scaleIO, storageos];
  return [
    ...listed("Secret", secret, secret?.secretName),
    ...listed("ConfigMap", volume.configMap),
    ...(volume.projected?.sources ?? []).flatMap((source) => [
      ...listed("Secret", source.secret),
      ...listed("ConfigMap", source.configMap),
    ]),
    ...names("PersistentVolumeClaim", volume.persistentVolumeClaim?.claimName),
    ...(ephemeral === undefined ? [] : namedByClaim(ephemeral.volumeClaimTemplate, names)),
    ...names("CSIDriver", csi?.driver),
    ...names("Secret", csi?.nodePublishSecretRef?.name),
    ...names("Secret", azureFile?.secretName),
    ...remote.flatMap((one) => names("Secret", one?.secretRef?.name)),
  ];
}

const claimSchema = v.looseObject({
  spec: v.looseObject({ storageClassName: v.optional(v.string()), volumeName: v.optional(v.string()) }),
});

function namedByClaim(claim: unknown, names: Names): readonly Reference[] {
  const { spec } = parseAs(claimSchema, claim, "a volume claim", "invalid-manifest");
  return [...names("StorageClass", spec.storageClassName), ...names("PersistentVolume", spec.volumeName)];
}

const statefulSetSchema = v.looseObject({
  spec: v.looseObject({ volumeClaimTemplates: v.optional(v.array(v.unknown()), []) }),
});
const ingressSchema = v.looseObject({
  spec: v.looseObject({
    ingressClassName: v.optional(v.string()),
    tls: v.optional(v.array(v.looseObject({ secretName: v.optional(v.string()) })), []),
  }),
});
const serviceAccountSchema = v.looseObject({
  imagePullSecrets: v.optional(v.array(v.looseObject({ name: v.optional(v.string()) })), []),
});
const roleBindingSchema = v.looseObject({
  roleRef: v.looseObject({ kind: v.picklist(["Role", "ClusterRole"]), name: v.string() }),
});

function namedByKind(object: KubeObject, names: Names): readonly Reference[] {
  const read = <S extends v.GenericSchema>(schema: S): v.InferOutput<S> =>
    parseAs(schema, object, describeObject(object), "invalid-manifest");
  switch (object.kind) {
    case "StatefulSet":
      return read(statefulSetSchema).spec.volumeClaimTemplates.flatMap((claim) => namedByClaim(claim, names));
    case "PersistentVolumeClaim":
      return namedByClaim(object, names);
    case "Ingress": {
      const { ingressClassName, tls } = read(ingressSchema).spec;
      return [
        ...names("IngressClass", ingressClassName),
        ...tls.flatMap(({ secretName }) => names("Secret", secretName)),
      ];
    }
    case "ServiceAccount":
      return read(serviceAccountSchema).imagePullSecrets.flatMap(({ name }) => names("Secret", name));
    case "RoleBinding": {
      const { kind, name } = read(roleBindingSchema).roleRef;
      return names(kind, name);
    }
    default:
      return [];
  }
}
