import { AppError, type ErrorCode, object, integer } from "@baton/protocol";
import * as v from "valibot";
import type { KubeAnswer } from "./kube-request.ts";

/** What the API server answers instead of an object. */
const statusSchema = object({
  kind: v.literal("Status"),
  message: v.optional(v.string(), ""),
  reason: v.optional(v.string(), ""),
  details: v.optional(
    object({ name: v.optional(v.string()), kind: v.optional(v.string()), group: v.optional(v.string()) }),
    {},
  ),
  code: v.optional(integer),
});
export type KubeStatus = v.InferOutput<typeof statusSchema>;

export function statusOf({ bytes }: KubeAnswer): KubeStatus | null {
  try {
    const result = v.safeParse(statusSchema, JSON.parse(bytes.toString()));
    return result.success ? result.output : null;
  } catch {
    return null;
  }
}

/** Only the API server's own word on that very object: a proxy's 404, or one on a kind that is not served, says nothing of it. */
export function isAbsent(answer: KubeAnswer, resource: string, name: string): boolean {
  if (answer.status !== 404) return false;
  const status = statusOf(answer);
  if (status?.reason !== "NotFound") return false;
  const { kind = "", group = "", name: named } = status.details;
  return named === name && `${kind}${group === "" ? "" : `.${group}`}` === resource;
}

export interface Refused {
  readonly what: string;
  readonly server: string;
  readonly verb: string;
  readonly resource: string;
  readonly namespace: string | undefined;
}

/** Of an answer that is no success, as an error that may be shown. */
export function refusal({ what, server, ...asked }: Refused, answer: KubeAnswer): AppError {
  const { verb, resource, namespace } = asked;
  const { status } = answer;
  const fail = (code: ErrorCode, why: string): AppError =>
    new AppError(code, `cannot ${what}: ${why}`, { meta: { status, ...asked } });
  if (status === 401)
    return fail("cluster-unavailable", `the API server ${server} does not accept the credential; renew it`);
  if (status === 403 && statusOf(answer)?.reason === "Forbidden" && !isQuota(answer)) {
    const where = namespace === undefined ? "in the whole cluster" : `in namespace ${namespace}`;
    return fail(
      "cluster-unavailable",
      `"${verb}" of ${resource} ${where} is not allowed; grant it by a role`,
    );
  }
  const code = status === 409 ? "placement-conflict" : "cluster-unavailable";
  return fail(code, `the API server ${server} said ${status}${wordsOf(answer, resource)}`);
}

/** A quota refuses with the same status; its words name amounts, and are needed. */
const isQuota = (answer: KubeAnswer): boolean => /exceeded quota/.test(statusOf(answer)?.message ?? "");

/** What is said of a secret may quote it. */
function wordsOf(answer: KubeAnswer, resource: string): string {
  const message = statusOf(answer)?.message ?? "";
  return message === "" || resource.startsWith("secrets") ? "" : `: ${message.split("\n")[0]?.slice(0, 500)}`;
}
