import { accepts } from "@baton/protocol";
import * as v from "valibot";
import type { KubeObject } from "../kube-object.ts";
import { describeObject } from "./describe-object.ts";
import { type PodSpec, podTemplateOf } from "./pod-template.ts";
import { readQuantity } from "./quantity.ts";

const amounts = v.record(v.string(), v.union([v.string(), v.number()]));

const quotaSchema = v.looseObject({
  spec: v.looseObject({
    scopes: v.optional(v.array(v.string()), []),
    scopeSelector: v.optional(v.unknown()),
  }),
  status: v.looseObject({ hard: v.optional(amounts, {}), used: v.optional(amounts, {}) }),
});

const limitRangeSchema = v.looseObject({
  spec: v.looseObject({
    limits: v.array(
      v.looseObject({
        type: v.string(),
        min: v.optional(amounts, {}),
        max: v.optional(amounts, {}),
        default: v.optional(amounts, {}),
        defaultRequest: v.optional(amounts, {}),
      }),
    ),
  }),
});
type Limit = v.InferInput<typeof limitRangeSchema>["spec"]["limits"][number];

export interface Admission {
  /** Why a pod of these objects would not be let in. */
  readonly refusals: readonly string[];
  /** What may refuse it and could not be judged. */
  readonly unclear: readonly string[];
}

/** What the namespaces' quotas and limit ranges say to one pod of each of the objects. */
export function judgeAdmission(
  objects: readonly KubeObject[],
  around: { readonly quotas: readonly KubeObject[]; readonly limitRanges: readonly KubeObject[] },
): Admission {
  const judged = objects.flatMap((object): readonly Admission[] => {
    const spec = podTemplateOf(object)?.spec;
    if (spec === undefined) return [];
    const here = ({ metadata }: KubeObject): boolean => metadata.namespace === object.metadata.namespace;
    const whose = describeObject(object);
    const ranges = around.limitRanges.filter(here);
    const limits = ranges.flatMap((range) => (accepts(limitRangeSchema, range) ? range.spec.limits : []));
    const pod = withDefaults(spec, limits);
    return [
      ...around.quotas.filter(here).map((quota) => judgeQuota(quota, pod, whose)),
      judgeLimits(limits, pod, whose),
    ];
  });
  return {
    refusals: judged.flatMap(({ refusals }) => refusals),
    unclear: judged.flatMap(({ unclear }) => unclear),
  };
}

type Amounts = Readonly<Record<string, string | number>>;
/** Of each container: requests and limits, as admission sees them. */
type Containers = readonly { readonly name: string; readonly requests: Amounts; readonly limits: Amounts }[];

/** What is limited is requested where no request is said; what is neither gets the namespace's default. */
function withDefaults({ containers }: PodSpec, limitRanges: readonly Limit[]): Containers {
  const ofContainers = limitRanges.filter(({ type }) => type === "Container");
  const defaults = Object.assign({}, ...ofContainers.map((range) => range.default)) as Amounts;
  const requested = Object.assign({}, ...ofContainers.map((range) => range.defaultRequest)) as Amounts;
  return containers.map(({ name, resources }) => ({
    name,
    limits: { ...defaults, ...resources.limits },
    requests: { ...defaults, ...requested, ...resources.limits, ...resources.requests },
  }));
}

const computed = ["cpu", "memory", "ephemeral-storage"];

function judgeQuota(quota: KubeObject, pod: Containers, whose: string): Admission {
  const what = describeObject(quota);
  if (!accepts(quotaSchema, quota)) return { refusals: [], unclear: [`${what} cannot be read`] };
  const { scopes = [], scopeSelector } = quota.spec;
  // Which pods it counts, admission decides by more than we see.
  if (scopes.length > 0 || scopeSelector !== undefined)
    return { refusals: [], unclear: [`${what} counts some pods only`] };
  const { hard = {}, used = {} } = quota.status;
  const refusals = Object.entries(hard).flatMap(([resource, bound]) => {
    const needed = neededOf(resource, pod);
    if (needed === null) return [];
    if (needed === "unsaid") return [`${what} wants ${resource} to be said, and ${whose} does not say it`];
    const left = (readQuantity(bound) ?? 0) - (readQuantity(used[resource] ?? 0) ?? 0);
    return needed > left + 1e-9
      ? [`${what} leaves ${left} of ${resource}, and ${whose} needs ${needed}`]
      : [];
  });
  return { refusals, unclear: [] };
}

/** Null for what a pod uses nothing of. */
function neededOf(resource: string, pod: Containers): number | "unsaid" | null {
  if (resource === "pods" || resource === "count/pods") return 1;
  const [part, name] = resource.startsWith("limits.")
    ? (["limits", resource.slice("limits.".length)] as const)
    : (["requests", resource.replace(/^requests\./, "")] as const);
  if (!computed.includes(name)) return null;
  const said = pod.map((container) => container[part][name]);
  return said.includes(undefined)
    ? "unsaid"
    : said.reduce<number>((sum, amount) => sum + (readQuantity(amount ?? 0) ?? 0), 0);
}

function judgeLimits(limits: readonly Limit[], pod: Containers, whose: string): Admission {
  const refusals = limits.flatMap(({ type, min = {}, max = {} }) => {
    if (type !== "Container" && type !== "Pod") return [];
    const tooLittle = Object.entries(min).flatMap(([name, bound]) =>
      sums(pod, type, "requests", name).some((amount) => amount < (readQuantity(bound) ?? 0))
        ? [`${whose} requests less ${name} than a limit range wants (${bound} for a ${type})`]
        : [],
    );
    const tooMuch = Object.entries(max).flatMap(([name, bound]) =>
      sums(pod, type, "limits", name).some((amount) => amount > (readQuantity(bound) ?? Infinity))
        ? [`${whose} asks for more ${name} than a limit range allows (${bound} for a ${type})`]
        : [],
    );
    return [...tooLittle, ...tooMuch];
  });
  return { refusals, unclear: [] };
}

/** Of each container, or of all of them. What is not said is nothing that is wanted and no bound on what is used. */
function sums(
  pod: Containers,
  type: "Container" | "Pod",
  part: "requests" | "limits",
  name: string,
): readonly number[] {
  const unsaid = part === "requests" ? 0 : Infinity;
  const each = pod.map((container) => {
    const amount = container[part][name];
    return amount === undefined ? unsaid : (readQuantity(amount) ?? unsaid);
  });
  return type === "Container" ? each : [each.reduce((sum, amount) => sum + amount, 0)];
}
