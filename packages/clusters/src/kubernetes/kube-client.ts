import { AppError } from "@baton/protocol";
import { type ExecParams, type ExecResult, execInPod } from "./kube-exec.ts";
import { type KubeAccess, type KubeIdentity, openIdentity } from "./kube-identity.ts";
import { type KubeObject, readList, readObject } from "./kube-object.ts";
import { type KubeAnswer, type KubeRequest, requestKube } from "./kube-request.ts";
import { type KubeKind, type KubeResource, createResources } from "./kube-resources.ts";
import { reviewAccess } from "./kube-review.ts";
import { isAbsent, refusal, statusOf } from "./kube-status.ts";

export type { KubeAccess } from "./kube-identity.ts";
export type { KubeObject, KubeOwner } from "./kube-object.ts";
export type { KubeKind } from "./kube-resources.ts";

const fieldManager = "baton";
const pageSize = 500;

interface Call {
  readonly signal: AbortSignal;
}

export interface KubeName extends KubeKind {
  /** Left out for kinds that are in no namespace. */
  readonly namespace?: string | undefined;
  readonly name: string;
}

/**
 * One API server, seen by one identity. Every method throws AppError `cluster-unavailable` for whatever is no clear answer (for a refusal by RBAC with
 * verb, resource and namespace, also in `meta`), or the signal's reason; never with anything of a credential.
 */
export interface KubeClient {
  /** Whether the server knows the kind at all. */
  serves(params: KubeKind & Call): Promise<boolean>;

  /** Whether this identity may do so with objects of a kind, or with a part of them ("log"); in all of the cluster where no namespace is named. */
  allows(
    params: KubeKind &
      Call & {
        readonly verb: string;
        readonly part?: string | undefined;
        readonly namespace?: string | undefined;
      },
  ): Promise<boolean>;

  /** Null when the server said that this very object is not there. */
  get(params: KubeName & Call): Promise<KubeObject | null>;

  /** All of a namespace, or of the cluster; whole, however many pages it takes. */
  list(
    params: KubeKind &
      Call & {
        readonly namespace?: string | undefined;
        /** `key=value`, `key`, joined by commas. */
        readonly labels?: string | undefined;
      },
  ): Promise<readonly KubeObject[]>;

  /** Null when an object of that name is there. */
  create(params: { readonly object: KubeObject } & Call): Promise<KubeObject | null>;

  /** Server-side apply as "baton", without force. @throws `placement-conflict` when a field is somebody else's */
  apply(params: { readonly object: KubeObject } & Call): Promise<KubeObject>;

  /** A JSON merge patch of the object as it was seen (by its `resourceVersion`): null when it has changed since. */
  patch(
    params: KubeName & Call & { readonly seen: KubeObject; readonly patch: object },
  ): Promise<KubeObject | null>;

  /** Of the very object that was seen: whether it was there to delete. Returns when the server took it, not when it is gone. */
  delete(
    params: KubeName & Call & { readonly uid: string; readonly graceSeconds?: number | undefined },
  ): Promise<boolean>;

  exec(params: ExecParams): Promise<ExecResult>;

  /** The last lines of a container's output; of its life before with `previous`. Null when there is none. */
  log(
    params: Call & {
      readonly namespace: string;
      readonly pod: string;
      readonly container: string;
      readonly lines: number;
      readonly previous?: boolean | undefined;
    },
  ): Promise<string | null>;
}

/** Nothing is read or connected before the first call, and no connection outlives its call. */
export function openKubeClient(access: KubeAccess): KubeClient {
  const identify = openIdentity(access);
  const findResource = createResources();

  const resourceOf = async (identity: KubeIdentity, kind: KubeKind, what: string, signal: AbortSignal) => {
    const resource = await findResource(identity, kind, signal);
    if (resource !== null) return resource;
    throw new AppError(
      "cluster-unavailable",
      `cannot ${what}: the API server ${identity.server} has no kind ${kind.kind} in ${kind.apiVersion}; install it, or correct the object`,
    );
  };

  /** One request about objects of a kind. `expect`: statuses besides 2xx that are for the caller. */
  const call = async (
    kind: KubeKind & { readonly namespace?: string | undefined; readonly name?: string | undefined },
    asked: Omit<KubeRequest, "path" | "what"> & {
      readonly verb: string;
      readonly query?: Readonly<Record<string, string>> | undefined;
      readonly part?: string | undefined;
      readonly expect?: ((answer: KubeAnswer, resource: KubeResource) => boolean) | undefined;
    },
  ): Promise<{ readonly answer: KubeAnswer; readonly what: string }> => {
    const { verb, query = {}, part, expect = () => false, ...rest } = asked;
    const what = `${verb} ${kind.kind} ${[kind.namespace, kind.name].filter(Boolean).join("/")}`.trimEnd();
    const identity = await identify(what);
    const resource = await resourceOf(identity, kind, what, asked.signal);
    const namespace = resource.isNamespaced ? kind.namespace : undefined;
    const segments = [
      ...(namespace === undefined ? [] : ["namespaces", namespace]),
      resource.plural,
      ...(kind.name === undefined ? [] : [kind.name]),
      ...(part === undefined ? [] : [part]),
    ];
    const search = new URLSearchParams(query).toString();
    const path = `${resource.base}/${segments.map(encodeURIComponent).join("/")}${search && `?${search}`}`;
    const answer = await requestKube(identity, { ...rest, path, what });
    if (answer.status > 299 && !expect(answer, resource)) {
      const named = {
        resource: part === undefined ? resource.group : `${resource.group}/${part}`,
        namespace,
      };
      throw refusal({ what, server: identity.server, verb, ...named }, answer);
    }
    return { answer, what };
  };

  const kindOf = ({ apiVersion, kind, metadata: { namespace, name } }: KubeObject): KubeName => ({
    apiVersion,
    kind,
    namespace,
    name,
  });

  return {
    serves: async ({ signal, ...kind }) => {
      const identity = await identify(`look for kind ${kind.kind}`);
      return (await findResource(identity, kind, signal)) !== null;
    },

    allows: async ({ verb, part, namespace, signal, ...kind }) => {
      const what = `ask whether "${verb}" of ${kind.kind} is allowed`;
      const identity = await identify(what);
      const { plural, isNamespaced } = await resourceOf(identity, kind, what, signal);
      const attributes = {
        verb,
        group: kind.apiVersion.includes("/") ? kind.apiVersion.slice(0, kind.apiVersion.indexOf("/")) : "",
        resource: plural,
        subresource: part,
        namespace: isNamespaced ? namespace : undefined,
      };
      return reviewAccess(identity, { attributes, what, signal });
    },

    get: async ({ signal, ...named }) => {
      const { answer, what } = await call(named, {
        method: "GET",
        verb: "get",
        signal,
        expect: (seen, { group }) => isAbsent(seen, group, named.name),
      });
      return answer.status === 404 ? null : readObject(answer.bytes, what);
    },

    list: async ({ signal, labels, ...kind }) => {
      const all: KubeObject[] = [];
      let next: string | undefined;
      do {
        const query = {
          limit: String(pageSize),
          ...(labels !== undefined && { labelSelector: labels }),
          ...(next !== undefined && { continue: next }),
        };
        const { answer, what } = await call(kind, { method: "GET", verb: "list", query, signal });
        const page = readList(answer.bytes, kind, what);
        all.push(...page.items);
        next = page.next;
      } while (next !== undefined);
      return all;
    },

    create: async ({ object, signal }) => {
      const { apiVersion, kind, metadata } = object;
      const within = { apiVersion, kind, namespace: metadata.namespace };
      const { answer, what } = await call(within, {
        method: "POST",
        verb: "create",
        query: { fieldManager },
        json: object,
        signal,
        expect: (seen) => seen.status === 409 && statusOf(seen)?.reason === "AlreadyExists",
      });
      return answer.status === 409 ? null : readObject(answer.bytes, what);
    },

    apply: async ({ object, signal }) => {
      const { answer, what } = await call(kindOf(object), {
        method: "PATCH",
        verb: "patch",
        query: { fieldManager, force: "false" },
        json: object,
        // JSON is YAML, and the only type that it takes.
        type: "application/apply-patch+yaml",
        signal,
      });
      return readObject(answer.bytes, what);
    },

    patch: async ({ signal, seen, patch, ...named }) => {
      const { uid, resourceVersion } = seen.metadata;
      const { metadata = {}, ...rest } = patch as { readonly metadata?: object };
      const { answer, what } = await call(named, {
        method: "PATCH",
        verb: "patch",
        query: { fieldManager },
        json: { ...rest, metadata: { ...metadata, uid, resourceVersion } },
        type: "application/merge-patch+json",
        signal,
        expect: (given, { group }) => given.status === 409 || isAbsent(given, group, named.name),
      });
      return answer.status > 299 ? null : readObject(answer.bytes, what);
    },

    delete: async ({ signal, uid, graceSeconds, ...named }) => {
      const { answer } = await call(named, {
        method: "DELETE",
        verb: "delete",
        json: {
          kind: "DeleteOptions",
          apiVersion: "v1",
          preconditions: { uid },
          propagationPolicy: "Background",
          ...(graceSeconds !== undefined && { gracePeriodSeconds: graceSeconds }),
        },
        signal,
        // Another object of that name is none of ours.
        expect: (seen, { group }) =>
          (seen.status === 409 && statusOf(seen)?.reason === "Conflict") || isAbsent(seen, group, named.name),
      });
      return answer.status < 300;
    },

    exec: async (params) => {
      const identity = await identify(`run ${params.command[0]} in pod ${params.namespace}/${params.pod}`);
      return await execInPod(identity, params);
    },

    log: async ({ namespace, pod, container, lines, previous = false, signal }) => {
      const { answer } = await call(
        { apiVersion: "v1", kind: "Pod", namespace, name: pod },
        {
          method: "GET",
          verb: "get",
          part: "log",
          query: { container, tailLines: String(lines), previous: String(previous) },
          signal,
          // It has not begun, or has no life before.
          expect: (seen) => seen.status === 400 || seen.status === 404,
        },
      );
      return answer.status > 299 ? null : answer.bytes.toString();
    },
  };
}
