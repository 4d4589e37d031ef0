import type { ClusterSurvey, Influence } from "../../cluster-survey.ts";
import type { KubeClient } from "../kube-client.ts";
import type { KubeObject } from "../kube-object.ts";
import { describeObject } from "./describe-object.ts";
import { influencesOn } from "./influences-on.ts";
import { lookAround } from "./look-around.ts";
import { type LookParams, lookAtReferences } from "./look-at-references.ts";
import { type Right, findMissingRights } from "./missing-rights.ts";
import { podTemplateOf } from "./pod-template.ts";
import { judgeAdmission } from "./refusals-of.ts";
import { sight, valueOf, whyOf } from "./sight.ts";

export interface SurveyParams extends LookParams {
  readonly client: Pick<KubeClient, "allows" | "get" | "list" | "serves">;
  /** What the driver does there. */
  readonly rights: readonly Right[];
  /** Whose objects the cluster may have already, and the label that says so. */
  readonly placement: string | null;
  readonly placementLabel: string;
  /** Which of the objects makes the pod; a placement's has another name. */
  readonly workload: KubeObject | null;
}

/** What is around a workload in its namespace. @throws `invalid-manifest` for objects that cannot be read */
export async function surveyWorkload(params: SurveyParams): Promise<ClusterSurvey> {
  const { objects, rights, workload } = params;
  const [references, around, refused, placed, standing, twin] = await Promise.all([
    lookAtReferences(params),
    lookAround(params),
    findMissingRights(rights, params),
    sight(findPlaced(params)),
    Promise.all(
      objects.filter((object) => object !== workload).map((object) => findStanding(params, object)),
    ),
    workload === null ? [] : findTwin(params, workload),
  ]);
  const workloads = valueOf(placed) ?? [];
  const admission = judgeAdmission(objects, around);
  return {
    influences: [
      ...twin.flatMap((found) => found.influences),
      ...influencesOn(
        [
          ...(workloads.length > 0 || workload === null ? workloads : [workload]),
          ...standing.map((found) => found.object),
        ],
        around.surroundings,
      ),
    ],
    references,
    missingRights: refused.missing,
    refusals: admission.refusals,
    graceMs: graceOf(workloads),
    unseen: [
      ...whyOf(placed),
      ...standing.flatMap((found) => found.unseen),
      ...twin.flatMap((found) => found.unseen),
      ...around.unseen,
      ...admission.unclear,
      ...refused.unseen,
    ],
  };
}

async function findPlaced(params: SurveyParams): Promise<readonly KubeObject[]> {
  const { client, namespace, placement, placementLabel, signal, workload } = params;
  if (placement === null || workload === null) return [];
  const { apiVersion, kind } = workload;
  return client.list({ apiVersion, kind, namespace, labels: `${placementLabel}=${placement}`, signal });
}

const nameOf = ({ apiVersion, kind, metadata: { name } }: KubeObject, namespace: string) => ({
  apiVersion,
  kind,
  namespace,
  name,
});

/** As it is on the cluster, or as it would be put there. */
async function findStanding(
  { client, namespace, signal }: SurveyParams,
  object: KubeObject,
): Promise<{ readonly object: KubeObject; readonly unseen: readonly string[] }> {
  const found = await sight(client.get({ ...nameOf(object, namespace), signal }));
  return { object: valueOf(found) ?? object, unseen: whyOf(found) };
}

/** The workload by its own name, which no placement has: run by whoever made it, without an agent. */
async function findTwin(
  { client, namespace, placementLabel, signal }: SurveyParams,
  workload: KubeObject,
): Promise<readonly { readonly influences: readonly Influence[]; readonly unseen: readonly string[] }[]> {
  const found = await sight(client.get({ ...nameOf(workload, namespace), signal }));
  const object = valueOf(found);
  if (object === null || object.metadata.labels?.[placementLabel] !== undefined)
    return [{ influences: [], unseen: whyOf(found) }];
  const detail = `${describeObject(object)} is there, and Baton did not make it`;
  return [{ influences: [{ kind: "unmanaged", detail }], unseen: [] }];
}

function graceOf(workloads: readonly KubeObject[]): number | null {
  const seconds = workloads.flatMap((one) => podTemplateOf(one)?.spec.terminationGracePeriodSeconds ?? []);
  return seconds.length === 0 ? null : Math.min(...seconds) * 1_000;
}
