/** All states of an application, in Krake's own order. */
export const krakeStates = [
  "PENDING",
  "CREATING",
  "RUNNING",
  "RECONCILING",
  "TRANSLATING",
  "RETRYING",
  "RESTARTING",
  "WAITING_FOR_CLEANING",
  "READY_FOR_ACTION",
  "MIGRATING",
  "WAITING_FOR_CLUSTER_CREATION",
  "DELETING",
  "DELETED",
  "DEGRADED",
  "FAILED",
  "COMPLETED",
] as const;
export type KrakeState = (typeof krakeStates)[number];

/** Krake's record of one application, as far as the shutdown hook touches it. */
export interface KrakeApplication {
  readonly namespace: string;
  readonly name: string;
  /** Null: the hook was never deployed for this application. */
  readonly token: string | null;
  state: KrakeState;
  /** A moment, but only used as the sign of a sequence under way. */
  shutdownGracePeriod: string | null;
  /** `metadata.deleted`. */
  deletedAt: string | null;
  /** `status.services`: host:port by the Service's name. */
  readonly services: Record<string, string>;
}

/** Only in these a confirmation changes anything. */
export const awaitsConfirmation = (state: KrakeState): boolean =>
  state === "WAITING_FOR_CLEANING" || state === "DEGRADED";

/** What the API answers: the whole record, and like Krake's with token and key in clear. */
export function showApplication(application: KrakeApplication): object {
  const { namespace, name, token, state, shutdownGracePeriod, deletedAt, services } = application;
  const at = "2026-01-01T00:00:00+00:00";
  return {
    api: "kubernetes",
    kind: "Application",
    metadata: {
      name,
      namespace,
      uid: name,
      created: at,
      modified: at,
      deleted: deletedAt,
      finalizers: [],
      owners: [],
    },
    spec: { hooks: ["shutdown"], shutdown_grace_time: null, manifest: [] },
    status: {
      state,
      services,
      shutdown_token: token,
      shutdown_cert: null,
      shutdown_key: null,
      shutdown_grace_period: shutdownGracePeriod,
      complete_token: null,
      kube_controller_triggered: at,
      scheduled: at,
    },
  };
}
