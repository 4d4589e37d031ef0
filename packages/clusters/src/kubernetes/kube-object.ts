import { AppError, object, record } from "@baton/protocol";
import * as v from "valibot";

/** Any object of the API: what we read of it, and everything else as it came. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubeMetadata;
  readonly [field: string]: unknown;
}

export interface KubeMetadata {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly deletionTimestamp?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly finalizers?: readonly string[] | undefined;
  readonly ownerReferences?: readonly KubeOwner[] | undefined;
  readonly [field: string]: unknown;
}

export interface KubeOwner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean | undefined;
  readonly [field: string]: unknown;
}

const text = v.optional(v.string());
const texts = v.optional(record(v.string(), v.string()));

/** Fields besides are kept. */
const objectSchema = v.looseObject({
  apiVersion: v.string(),
  kind: v.string(),
  metadata: v.looseObject({
    name: v.string(),
    namespace: text,
    uid: text,
    resourceVersion: text,
    deletionTimestamp: text,
    labels: texts,
    annotations: texts,
    finalizers: v.optional(v.array(v.string())),
    ownerReferences: v.optional(
      v.array(v.looseObject({ apiVersion: v.string(), kind: v.string(), name: v.string(), uid: v.string() })),
    ),
  }),
});

/** Of a list, whose items lack their kind. */
const listSchema = object({
  metadata: v.optional(v.looseObject({ continue: text, resourceVersion: text }), {}),
  items: v.nullable(v.array(v.looseObject({}))),
});

export function readObject(bytes: Buffer, what: string): KubeObject {
  const result = v.safeParse(objectSchema, parseJson(bytes, what));
  if (!result.success) throw nonsense(what);
  return result.output as KubeObject;
}

export function readList(
  bytes: Buffer,
  kind: { readonly apiVersion: string; readonly kind: string },
  what: string,
): { readonly items: readonly KubeObject[]; readonly next: string | undefined } {
  const list = v.safeParse(listSchema, parseJson(bytes, what));
  if (!list.success) throw nonsense(what);
  const items = v.safeParse(
    v.array(objectSchema),
    list.output.items?.map((item) => ({ ...kind, ...item })) ?? [],
  );
  if (!items.success) throw nonsense(what);
  return { items: items.output as KubeObject[], next: list.output.metadata.continue || undefined };
}

export function parseJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    throw nonsense(what);
  }
}

const nonsense = (what: string): AppError =>
  new AppError(
    "cluster-unavailable",
    `cannot ${what}: the answer is not what an API server says; correct the kubeconfig`,
  );
