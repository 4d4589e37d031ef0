import { parseAs } from "@baton/protocol";
import * as v from "valibot";
import type { KubeObject } from "../kube-object.ts";
import { describeObject } from "./describe-object.ts";

const name = v.optional(v.string());
const isOptional = v.optional(v.boolean(), false);
const keyed = v.optional(v.looseObject({ name, key: v.string(), optional: isOptional }));
const whole = v.optional(v.looseObject({ name, optional: isOptional }));
const items = v.optional(v.array(v.looseObject({ key: v.string() })), []);
const listed = v.optional(v.looseObject({ name, optional: isOptional, items }));
const named = v.optional(v.looseObject({ name }));
const amounts = v.optional(v.record(v.string(), v.union([v.string(), v.number()])), {});

const containerSchema = v.looseObject({
  name: v.string(),
  env: v.optional(
    v.array(
      v.looseObject({
        valueFrom: v.optional(v.looseObject({ secretKeyRef: keyed, configMapKeyRef: keyed })),
      }),
    ),
    [],
  ),
  envFrom: v.optional(v.array(v.looseObject({ secretRef: whole, configMapRef: whole })), []),
  resources: v.optional(v.looseObject({ requests: amounts, limits: amounts }), {}),
});

/** Volumes of whatever type, since a type that we do not know may name a secret as those do that we know. */
const volumeSchema = v.looseObject({
  secret: v.optional(v.looseObject({ secretName: name, optional: isOptional, items })),
  configMap: listed,
  projected: v.optional(
    v.looseObject({
      sources: v.optional(v.array(v.looseObject({ secret: listed, configMap: listed })), []),
    }),
  ),
  persistentVolumeClaim: v.optional(v.looseObject({ claimName: v.string() })),
  ephemeral: v.optional(v.looseObject({ volumeClaimTemplate: v.optional(v.unknown()) })),
  csi: v.optional(v.looseObject({ driver: v.string(), nodePublishSecretRef: named })),
  azureFile: v.optional(v.looseObject({ secretName: name })),
  cephfs: v.optional(v.looseObject({ secretRef: named })),
  cinder: v.optional(v.looseObject({ secretRef: named })),
  flexVolume: v.optional(v.looseObject({ secretRef: named })),
  iscsi: v.optional(v.looseObject({ secretRef: named })),
  rbd: v.optional(v.looseObject({ secretRef: named })),
  scaleIO: v.optional(v.looseObject({ secretRef: named })),
  storageos: v.optional(v.looseObject({ secretRef: named })),
});
export type Volume = v.InferOutput<typeof volumeSchema>;

const podSpecSchema = v.looseObject({
  containers: v.array(containerSchema),
  initContainers: v.optional(v.array(containerSchema), []),
  volumes: v.optional(v.array(volumeSchema), []),
  imagePullSecrets: v.optional(v.array(v.looseObject({ name })), []),
  serviceAccountName: v.optional(v.string(), "default"),
  priorityClassName: name,
  runtimeClassName: name,
  restartPolicy: v.optional(v.picklist(["Always", "OnFailure", "Never"]), "Always"),
  /** Thirty where nothing is said, as the API server fills in. */
  terminationGracePeriodSeconds: v.optional(v.number(), 30),
});
export type PodSpec = v.InferOutput<typeof podSpecSchema>;

const podSchema = v.looseObject({
  metadata: v.optional(v.looseObject({ labels: v.optional(v.record(v.string(), v.string()), {}) }), {
    labels: {},
  }),
  spec: podSpecSchema,
});
export type PodTemplate = v.InferOutput<typeof podSchema>;

/** What pods of the object are made from; null for a kind that makes none. @throws `invalid-manifest` */
export function podTemplateOf(object: KubeObject): PodTemplate | null {
  const template = rawTemplateOf(object);
  return template === undefined
    ? null
    : parseAs(podSchema, template, `the pod of ${describeObject(object)}`, "invalid-manifest");
}

function rawTemplateOf(object: KubeObject): unknown {
  const { kind, spec } = object as KubeObject & { readonly spec?: TemplateHolder };
  switch (kind) {
    case "Pod":
      return object;
    case "PodTemplate":
      return object["template"];
    case "CronJob":
      return spec?.jobTemplate?.spec?.template;
    case "DaemonSet":
    case "Deployment":
    case "Job":
    case "ReplicaSet":
    case "ReplicationController":
    case "StatefulSet":
      return spec?.template;
    default:
      return undefined;
  }
}

interface TemplateHolder {
  readonly template?: unknown;
  readonly jobTemplate?: { readonly spec?: { readonly template?: unknown } };
}
