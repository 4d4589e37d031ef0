import { AppError, object } from "@baton/protocol";
import * as v from "valibot";
import type { KubeIdentity } from "./kube-identity.ts";
import { parseJson } from "./kube-object.ts";
import { requestKube } from "./kube-request.ts";
import { refusal } from "./kube-status.ts";

/** How objects of a kind are addressed. */
export interface KubeResource {
  /** In paths: `pods`. */
  readonly plural: string;
  readonly isNamespaced: boolean;
  /** `/api/v1`, `/apis/apps/v1`. */
  readonly base: string;
  /** As the server calls it in its answers: `pods`, `deployments.apps`. */
  readonly group: string;
}

export interface KubeKind {
  readonly apiVersion: string;
  readonly kind: string;
}

const resourcesSchema = object({
  kind: v.literal("APIResourceList"),
  resources: v.array(object({ name: v.string(), namespaced: v.boolean(), kind: v.string() })),
});

/** Asks the server once for each version of a group, and again after a failure; null for what it does not serve. */
export function createResources() {
  const known = new Map<string, Promise<ReadonlyMap<string, KubeResource> | null>>();
  return async (
    identity: KubeIdentity,
    { apiVersion, kind }: KubeKind,
    signal: AbortSignal,
  ): Promise<KubeResource | null> => {
    const key = `${identity.server} ${apiVersion}`;
    const seen = known.get(key);
    if (seen !== undefined) return (await seen)?.get(kind) ?? null;
    const asking = askResources(identity, apiVersion, signal);
    const found = await asking;
    // What is installed later must be seen.
    if (found?.has(kind)) known.set(key, asking);
    return found?.get(kind) ?? null;
  };
}

async function askResources(
  identity: KubeIdentity,
  apiVersion: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, KubeResource> | null> {
  if (!/^([a-z0-9.-]+\/)?v[a-z0-9]+$/.test(apiVersion))
    throw new AppError("invalid-request", 'cannot use an object: its "apiVersion" is none; correct it');
  const base = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const what = `ask which kinds ${apiVersion} has`;
  const answer = await requestKube(identity, { method: "GET", path: base, what, signal });
  if (answer.status === 404) return null;
  if (answer.status !== 200)
    throw refusal(
      { what, server: identity.server, verb: "get", resource: base, namespace: undefined },
      answer,
    );
  const list = v.safeParse(resourcesSchema, parseJson(answer.bytes, what));
  if (!list.success)
    throw new AppError(
      "cluster-unavailable",
      `cannot ${what}: ${identity.server} is no API server; correct the kubeconfig`,
    );
  const group = apiVersion.includes("/") ? `.${apiVersion.split("/")[0]}` : "";
  // Names with a slash are parts of an object: pods/log.
  const whole = list.output.resources.filter(({ name }) => !name.includes("/"));
  return new Map(
    whole.map(({ name, namespaced, kind }) => [
      kind,
      { plural: name, isNamespaced: namespaced, base, group: `${name}${group}` },
    ]),
  );
}
