import { createHmac } from "node:crypto";
import { canonicalJson } from "../../canonical-json.ts";
import type { SurveyedReference } from "../../cluster-survey.ts";
import type { KubeClient } from "../kube-client.ts";
import type { KubeObject } from "../kube-object.ts";
import { describeName } from "./describe-object.ts";
import { type Reference, referencesOf } from "./references-of.ts";
import { sight } from "./sight.ts";

export interface LookParams {
  readonly client: Pick<KubeClient, "get" | "serves">;
  readonly namespace: string;
  /** The workload's, all of that namespace. */
  readonly objects: readonly KubeObject[];
  readonly salt: Uint8Array;
  readonly signal: AbortSignal;
}

/** All that the objects name, and what that names again, each as it is here; and the kinds of the objects themselves. */
export async function lookAtReferences(params: LookParams): Promise<readonly SurveyedReference[]> {
  const { objects, namespace } = params;
  const kinds = new Map(
    objects.map(({ apiVersion, kind }) => [`${apiVersion} ${kind}`, { apiVersion, kind }]),
  );
  const [ofKinds, named] = await Promise.all([
    Promise.all([...kinds.values()].map((kind) => lookAtKind(params, kind))),
    lookAtAll(params, referencesOf(objects, namespace)),
  ]);
  const accounts = named.flatMap(({ object }) => (object?.kind === "ServiceAccount" ? [object] : []));
  const known = new Set(named.map(({ reference }) => describeName(reference)));
  const further = referencesOf(accounts, namespace).filter((one) => !known.has(describeName(one)));
  return [...ofKinds, ...[...named, ...(await lookAtAll(params, further))].map(({ surveyed }) => surveyed)];
}

type Look = {
  readonly reference: Reference;
  readonly object: KubeObject | null;
  readonly surveyed: SurveyedReference;
};

const lookAtAll = (params: LookParams, references: readonly Reference[]): Promise<readonly Look[]> =>
  Promise.all(references.map((reference) => lookAt(params, reference)));

async function lookAtKind(
  { client, signal }: LookParams,
  kind: { readonly apiVersion: string; readonly kind: string },
): Promise<SurveyedReference> {
  const served = await sight(client.serves({ ...kind, signal }));
  const about = {
    what: `kind ${kind.kind} of ${kind.apiVersion}`,
    optional: false,
    digest: null,
  };
  if ("why" in served) return { ...about, state: "unknown", detail: served.why };
  return { ...about, state: served.value ? "there" : "absent", detail: null };
}

async function lookAt({ client, salt, signal }: LookParams, reference: Reference): Promise<Look> {
  const { apiVersion, kind, namespace, name, optional, keys } = reference;
  // Without its namespace, which may be another one elsewhere.
  const about = { what: `${kind} ${kind === "Namespace" ? "of the workload" : name}`, optional };
  const seen = await sight(client.get({ apiVersion, kind, namespace: namespace ?? undefined, name, signal }));
  if ("why" in seen)
    return {
      reference,
      object: null,
      surveyed: { ...about, state: "unknown", detail: seen.why, digest: null },
    };
  const object = seen.value;
  if (object === null)
    return { reference, object, surveyed: { ...about, state: "absent", detail: null, digest: null } };
  const lacking = keys.filter((key) => !hasKey(object, key));
  const detail = lacking.length === 0 ? null : `it is there without the key ${lacking.join(", ")}`;
  const state = lacking.length === 0 ? "there" : "absent";
  return { reference, object, surveyed: { ...about, state, detail, digest: digestOf(object, salt) } };
}

const contents = ["data", "binaryData"];

const hasKey = (object: KubeObject, key: string): boolean =>
  contents.some((field) => Object.hasOwn((object[field] ?? {}) as object, key));

/** Of what applications read; whether a class or an account is the same is for its cluster to say. */
function digestOf(object: KubeObject, salt: Uint8Array): string | null {
  const { kind } = object;
  if (kind !== "Secret" && kind !== "ConfigMap") return null;
  const content = [kind, ...contents.map((field) => object[field] ?? {})];
  return createHmac("sha256", salt).update(canonicalJson(content)).digest("hex");
}
