import { AppError, parseAs, placementIdSchema } from "@baton/protocol";

/** What of an engine belongs to a placement, by name. */
export interface ContainerNames {
  readonly container: string;
  /** The agent's state and receipts; outlives the container, and the placement. */
  readonly volume: string;
  /** Exists from the placement's removal on, so that its id is not used again. */
  readonly removed: string;
}

/** @throws AppError `invalid-request` for anything but a placement's id, since it becomes a part of paths */
export function namesOf(placement: string): ContainerNames {
  parseAs(placementIdSchema, placement, "the placement's id");
  const container = `baton-${placement}`;
  return { container, volume: container, removed: `${container}-removed` };
}

export const placementLabel = "baton.placement";
export const clusterLabel = "baton.cluster";
const specLabel = "baton.spec";
const agentLabel = "baton.agent";

/** A name says nothing of whose an object is; these do. */
export const labelsOf = (cluster: string, placement: string): Record<string, string> => ({
  [clusterLabel]: cluster,
  [placementLabel]: placement,
});

export const allLabelsOf = (
  cluster: string,
  placement: string,
  digests: { readonly spec: string; readonly agent: string },
): Record<string, string> => ({
  ...labelsOf(cluster, placement),
  [specLabel]: digests.spec,
  [agentLabel]: digests.agent,
});

export const isMadeFrom = (labels: Readonly<Record<string, string>>, spec: string): boolean =>
  labels[specLabel] === spec;

/** @throws AppError `placement-conflict` for what somebody else made: it is never taken over, and never touched */
export function assertOurs(
  cluster: string,
  placement: string,
  what: string,
  labels: Readonly<Record<string, string>>,
): void {
  if (labels[clusterLabel] === cluster && labels[placementLabel] === placement) return;
  const detail = `cannot use ${what} on ${cluster}: it is there, and its labels are not this placement's; remove it or rename it by hand, it is never taken over`;
  throw new AppError("placement-conflict", detail);
}
