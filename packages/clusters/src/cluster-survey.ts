/** Who else acts on what a workload is made of. */
export type InfluenceKind =
  | "autoscaler"
  | "keda"
  | "argo-cd"
  | "flux"
  /** Puts the workload's objects back as it knows them, or may: that was not to be seen. */
  | "reverts"
  | "operator"
  /** The very workload, made by somebody else. */
  | "unmanaged"
  | "controller"
  | "disruption-budget"
  | "finalizer"
  | "never-restarted";

export interface Influence {
  readonly kind: InfluenceKind;
  /** Who does what to which object, in words. */
  readonly detail: string;
}

/** Something that the workload names and does not bring itself. */
export interface SurveyedReference {
  /** "Secret database": the same on every cluster. */
  readonly what: string;
  /** The workload can do without. */
  readonly optional: boolean;
  /** `absent` also where something that must be in it is not. */
  readonly state: "there" | "absent" | "unknown";
  /** What it lacks, or why nobody knows. */
  readonly detail: string | null;
  /** Of what is in it, with the survey's salt: two surveys with one salt can be compared, and nothing else. Null where it does not matter or was not seen. */
  readonly digest: string | null;
}

/** What is around a workload on a place. Nothing that could not be looked at is missing here: it is `unseen`. */
export interface ClusterSurvey {
  readonly influences: readonly Influence[];
  readonly references: readonly SurveyedReference[];
  /** What the orchestrator must do there and may not: "create pods in namespace shop". */
  readonly missingRights: readonly string[];
  /** Why the workload's pods would not be admitted, in words. */
  readonly refusals: readonly string[];
  /** How long the platform lets a pod of it end before it kills; null where it has no pods. */
  readonly graceMs: number | null;
  /** What could not be looked at, with the reason. */
  readonly unseen: readonly string[];
}
