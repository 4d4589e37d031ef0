import { type AgentState, type AgentStatus, type Run, formatRun, sameRun } from "@baton/protocol";
import type { Witness } from "@baton/clusters";
import type { IfMatchForm, Lease, ProbeResult } from "@baton/storage";

/** What was seen of the application's placement; null where it could not be seen, and `trouble` says why. */
export interface PlacementFacts {
  readonly application: string;
  readonly owner: string;
  readonly source: string;
  readonly sourceCluster: string;
  readonly status: AgentStatus | null;
  readonly lease: Lease | null;
  readonly trouble: readonly string[];
}

export interface StorageFacts {
  readonly probe: ProbeResult | null;
  /** How the manifest says that the store wants ETags. */
  readonly ifMatch: IfMatchForm;
  readonly trouble: readonly string[];
}

export interface TargetFacts {
  readonly sourceCluster: string;
  readonly targetCluster: string;
  readonly targetReachable: boolean;
  readonly trouble: readonly string[];
}

/** Of a placement whose application shall not run. */
export interface RestingFacts extends PlacementFacts {
  readonly witness: Witness["state"] | null;
}

export interface Finding {
  readonly id: string;
  readonly detail: string;
  readonly fix: string;
}

type Rule<Facts> = (facts: Facts) => Finding | null;

const finding = (id: string, detail: string, fix: string): Finding => ({ id, detail, fix });

/* One rule a finding; an unseen fact is a finding as well. Findings stop the operation before anything was touched. */

const targetRules: readonly Rule<TargetFacts>[] = [
  ({ sourceCluster, targetCluster }) =>
    sourceCluster === targetCluster
      ? finding(
          "same-cluster",
          `the application is on ${sourceCluster} already`,
          "choose another target cluster",
        )
      : null,
  ({ targetReachable, targetCluster, trouble }) =>
    targetReachable
      ? null
      : finding(
          "target-unavailable",
          `cluster ${targetCluster} does not answer: ${trouble.join("; ")}`,
          "bring the cluster up",
        ),
];

const placementRules: readonly Rule<PlacementFacts>[] = [
  ({ status, sourceCluster, trouble }) =>
    status === null
      ? finding(
          "source-unreachable",
          `the agent on ${sourceCluster} does not answer: ${trouble.join("; ")}`,
          "bring the source's agent up",
        )
      : null,
  ({ lease }) =>
    lease === null
      ? finding("lease-missing", "the lease cannot be read or is missing", "look into the bucket")
      : null,
  ({ lease, owner, application }) =>
    lease !== null && (lease.owner !== owner || lease.application !== application)
      ? finding("lease-foreign", `the lease belongs to ${lease.owner}`, "choose another prefix")
      : null,
];

const servingRules: readonly Rule<PlacementFacts>[] = [
  ({ status, sourceCluster }) =>
    status !== null && (status.state !== "running" || !status.ready)
      ? finding(
          "source-not-serving",
          `the application on ${sourceCluster} is ${status.state}`,
          "bring the application up first",
        )
      : null,
  ({ lease, source }) =>
    lease !== null && (lease.holder !== source || lease.state !== "running")
      ? finding(
          "lease-holder",
          `the lease is ${lease.state}, held by ${lease.holder}`,
          "the source must hold the lease",
        )
      : null,
  ({ lease, status }) =>
    lease !== null && status !== null && (lease.epoch !== status.epoch || !sameRun(lease.run, status.run))
      ? finding(
          "run-mismatch",
          `the lease names ${named(lease)}, the agent ${named(status)}`,
          "find out who changed the lease",
        )
      : null,
];

const restingRules: readonly Rule<RestingFacts>[] = [
  ({ status, sourceCluster }) =>
    status !== null && !restingStates.includes(status.state)
      ? finding(
          "source-not-resting",
          `the application on ${sourceCluster} is ${status.state}`,
          "only one that does not run can be taken up",
        )
      : null,
  ({ lease, source }) =>
    lease !== null && (lease.holder !== source || lease.state !== "stopped")
      ? finding(
          "lease-holder",
          `the lease is ${lease.state}, held by ${lease.holder}`,
          "the placement must hold it, stopped",
        )
      : null,
  // A process that the agent does not see would be a second writer in one placement (safety rule 5).
  ({ witness, sourceCluster, trouble }) =>
    witness === "terminated"
      ? null
      : finding(
          "witness-unsure",
          `${sourceCluster} ${witness === "running" ? "still sees processes of the application" : `cannot say whether processes of the application are left: ${trouble.join("; ")}`}`,
          "look at its processes",
        ),
];

const storageRules: readonly Rule<StorageFacts>[] = [
  ({ probe, trouble }) => {
    if (probe === null)
      return finding(
        "storage-unprobed",
        `the storage cannot be probed: ${trouble.join("; ")}`,
        "bring the storage up",
      );
    const failed = probe.tests.filter((test) => test.required && !test.passed);
    return failed.length === 0
      ? null
      : finding(
          "storage-unfit",
          failed.map((test) => `${test.name}: ${test.detail}`).join("; "),
          "use a store that honours conditional writes",
        );
  },
  // Lease writes in another form than the store's would be refused, or worse, taken whatever they expect.
  ({ probe, ifMatch }) =>
    probe !== null && probe.ifMatch !== ifMatch
      ? finding(
          "storage-if-match",
          `the store wants ETags ${probe.ifMatch} in If-Match, and the manifest says ${ifMatch}`,
          "find out what was changed at the store",
        )
      : null,
];

const named = ({ epoch, run }: { readonly epoch: number; readonly run: Run | null }): string =>
  `epoch ${epoch} and ${run === null ? "no run" : `run ${formatRun(run)}`}`;

const restingStates: readonly AgentState[] = ["held", "stopped", "crashed"];

const check = <Facts>(facts: Facts, ...rules: readonly (readonly Rule<Facts>[])[]): readonly Finding[] =>
  rules
    .flat()
    .map((rule) => rule(facts))
    .filter((found) => found !== null);

/** Of an application that serves and shall move. */
export const checkMove = (facts: PlacementFacts & StorageFacts & TargetFacts): readonly Finding[] =>
  check<typeof facts>(facts, targetRules, placementRules, servingRules, storageRules);

/** Of one that serves and shall stop. */
export const checkStop = (facts: PlacementFacts & StorageFacts): readonly Finding[] =>
  check<typeof facts>(facts, placementRules, servingRules, storageRules);

/** Of one that does not run and shall start in its placement. */
export const checkStart = (facts: RestingFacts & StorageFacts): readonly Finding[] =>
  check<typeof facts>(facts, placementRules, restingRules, storageRules);

/** Of one that does not run and shall go. */
export const checkGone = (facts: RestingFacts): readonly Finding[] =>
  check<typeof facts>(facts, placementRules, restingRules);
