import { AppError, integer, object, parseAs } from "@baton/protocol";
import * as v from "valibot";
import type { KubeName, KubeObject } from "./kube-client.ts";
import {
  type Place,
  assertOurs,
  clusterLabel,
  endingAnnotation,
  placementLabel,
  podAnnotation,
  removedLabel,
  secretNameOf,
  specAnnotation,
  workloadAnnotation,
} from "./names.ts";

const nameSchema = object({ apiVersion: v.string(), kind: v.string(), name: v.string() });
const podSchema = object({
  name: v.string(),
  uid: v.string(),
  container: v.string(),
  /** The command that shows what runs in there. */
  look: v.array(v.string()),
  /** Of the application. */
  port: integer,
  url: v.nullable(v.string()),
});

/** The pod whose agent was identified: nobody was told of another one, so none has a grant. */
export type RecordedPod = v.InferOutput<typeof podSchema>;

/** What is known of a placement: its secret, which is there before its workload and stays when it is removed. */
export interface PlacementRecord {
  readonly secret: KubeObject;
  readonly isRemoved: boolean;
  readonly spec: string | undefined;
  readonly workload: KubeName;
  readonly pod: RecordedPod | null;
  /** Nothing of its application lived in the recorded pod, and then its end was begun. */
  readonly isEnding: boolean;
}

const refOf = ({ namespace }: Place, placement: string): KubeName => ({
  apiVersion: "v1",
  kind: "Secret",
  namespace,
  name: secretNameOf(placement),
});

/** Null when there never was such a placement. @throws AppError `placement-conflict` when the secret is somebody else's */
export async function findRecord(
  place: Place,
  placement: string,
  signal: AbortSignal,
): Promise<PlacementRecord | null> {
  const secret = await place.client.get({ ...refOf(place, placement), signal });
  if (secret === null) return null;
  assertOurs(place, secret, { [clusterLabel]: place.name, [placementLabel]: placement });
  const { labels = {}, annotations = {} } = secret.metadata;
  const read = <S extends v.GenericSchema>(schema: S, text: string | undefined): v.InferOutput<S> =>
    parseAs(schema, parse(text), `the secret of placement ${placement}`, "cluster-unavailable");
  const recorded = annotations[podAnnotation];
  const pod = recorded === undefined ? null : read(podSchema, recorded);
  return {
    secret,
    isRemoved: removedLabel in labels,
    spec: annotations[specAnnotation],
    workload: { ...read(nameSchema, annotations[workloadAnnotation]), namespace: place.namespace },
    pod,
    isEnding: pod !== null && annotations[endingAnnotation] === pod.uid,
  };
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return null;
  }
}

/** From now on this pod and no other is the placement's; false when the record was changed meanwhile. */
export async function recordPod(
  place: Place,
  placement: string,
  { secret }: PlacementRecord,
  pod: RecordedPod,
  signal: AbortSignal,
): Promise<boolean> {
  const patch = { metadata: { annotations: { [podAnnotation]: JSON.stringify(pod) } } };
  return (await place.client.patch({ ...refOf(place, placement), seen: secret, patch, signal })) !== null;
}

/** @throws AppError `cluster-unavailable` when the record was changed meanwhile */
export async function markEnding(
  place: Place,
  placement: string,
  { secret, pod }: PlacementRecord,
  signal: AbortSignal,
): Promise<void> {
  if (pod === null) return;
  const patch = { metadata: { annotations: { [endingAnnotation]: pod.uid } } };
  if ((await place.client.patch({ ...refOf(place, placement), seen: secret, patch, signal })) !== null)
    return;
  const detail = `cannot remove placement ${placement}: its record on ${place.name} was changed by somebody else; try again`;
  throw new AppError("cluster-unavailable", detail);
}

/** Takes the keys out, and keeps the id from being used again. */
export async function buryRecord(
  place: Place,
  placement: string,
  log: string,
  signal: AbortSignal,
): Promise<void> {
  const record = await findRecord(place, placement, signal);
  if (record === null || record.isRemoved) return;
  const data = { "agent.json": null, "control.json": null, "agent.log": Buffer.from(log).toString("base64") };
  const patch = { metadata: { labels: { [removedLabel]: "true" } }, data };
  if ((await place.client.patch({ ...refOf(place, placement), seen: record.secret, patch, signal })) === null)
    await buryRecord(place, placement, log, signal);
}
