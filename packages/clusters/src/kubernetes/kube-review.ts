import { AppError, object } from "@baton/protocol";
import * as v from "valibot";
import type { KubeIdentity } from "./kube-identity.ts";
import { parseJson } from "./kube-object.ts";
import { requestKube } from "./kube-request.ts";
import { refusal } from "./kube-status.ts";

const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const reviewSchema = object({
  status: object({ allowed: v.boolean(), evaluationError: v.optional(v.string()) }),
});

/** Asks the server whether this identity may do it: by the server's own authorizers, whatever they are. */
export async function reviewAccess(
  identity: KubeIdentity,
  asked: {
    readonly attributes: Readonly<Record<"group" | "resource" | "verb", string>> & {
      readonly subresource?: string | undefined;
      readonly namespace?: string | undefined;
    };
    readonly what: string;
    readonly signal: AbortSignal;
  },
): Promise<boolean> {
  const { attributes, what, signal } = asked;
  const json = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectAccessReview",
    spec: { resourceAttributes: attributes },
  };
  const { server } = identity;
  const answer = await requestKube(identity, { method: "POST", path, json, what, signal });
  if (answer.status > 299)
    throw refusal(
      { what, server, verb: "create", resource: "selfsubjectaccessreviews", namespace: undefined },
      answer,
    );
  const review = v.safeParse(reviewSchema, parseJson(answer.bytes, what));
  if (!review.success)
    throw new AppError(
      "cluster-unavailable",
      `cannot ${what}: ${server} is no API server; correct the kubeconfig`,
    );
  const { allowed, evaluationError } = review.output.status;
  // An authorizer that failed may have been the one that allows it.
  if (!allowed && evaluationError !== undefined && evaluationError !== "")
    throw new AppError(
      "cluster-unavailable",
      `cannot ${what}: the API server could not say; try again later`,
    );
  return allowed;
}
