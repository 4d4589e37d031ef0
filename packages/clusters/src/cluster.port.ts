import type {
  AgentConfigInput,
  AgentEndpoint,
  ApplicationManifest,
  ContainerManifest,
  KubernetesManifest,
} from "@baton/protocol";
import type { Dispatcher } from "undici";
import type { ClusterSurvey } from "./cluster-survey.ts";

export type Workload = ApplicationManifest["workload"];

/** What a placement is made from; the driver adds what only it knows (state directory, address, ports) to the agent's configuration. */
export interface PlacementSpec {
  readonly placement: string;
  readonly agent: Omit<
    AgentConfigInput,
    "version" | "placement" | "stateDirectory" | "listen" | "applicationPort"
  >;
  /** What the application runs in, where the place runs containers; other places pass over it. */
  readonly container?: ContainerManifest | undefined;
  /** Its own objects, for clusters of Kubernetes. */
  readonly kubernetes?: KubernetesManifest | undefined;
}

/** A placement whose agent is up and was identified by the driver's own trusted path. */
export interface PlacedAgent {
  readonly endpoint: AgentEndpoint;
  /** Where clients reach the application once it serves, `http://host:port`. */
  readonly applicationUrl: string;
}

/**
 * What the platform shows from outside. `terminated`: every process of every run of the placement is dead (the agent may be up: `agentAlive`).
 * `running`: at least one lives. `unknown`: something could not be read; `detail` says what. Never derived from absence alone.
 */
export interface Witness {
  readonly state: "running" | "terminated" | "unknown";
  readonly agentAlive: boolean;
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
  readonly detail: string | null;
  readonly observedAt: string;
}

export interface ClusterCapabilities {
  /** A placement can wait with its application not started. */
  readonly holdsStandby: boolean;
  /** `witness` can say `terminated`. */
  readonly witnessesFromOutside: boolean;
  /** The orchestrator reaches agents directly. */
  readonly reachesAgents: boolean;
}

/** What a place has for one more placement. */
export interface ClusterRoom {
  /** For its state, its receipts and its log; null where that cannot be said. */
  readonly freeBytes: number | null;
  /** What the workload names and is not there: its program, its directory, its image. */
  readonly missing: readonly string[];
}

/** A place that runs placements. All methods throw AppError `cluster-unavailable` when the place does not answer before `timeoutMs`. */
export interface Cluster {
  readonly name: string;
  readonly capabilities: ClusterCapabilities;
  /** What requests to its agents go through, where some of them cannot be connected to; without it, nothing is needed. */
  readonly agentDispatcher?: Dispatcher | undefined;

  /** Whether placements can be made here at all. @throws `cluster-unavailable` with the reason. */
  check(params: { readonly timeoutMs: number }): Promise<void>;

  /** Looks whether the workload could be executed here, and changes nothing. A driver that cannot look before it places has none. */
  inspect?(params: {
    readonly workload: Workload;
    readonly container?: ContainerManifest | undefined;
    readonly timeoutMs: number;
  }): Promise<ClusterRoom>;

  /**
   * Looks at who else acts on what the application is made of, at what that names, and at what may be done here; changes nothing. What could not be seen is
   * said in the survey. A driver whose placements are seen by nobody else has none.
   */
  survey?(params: {
    readonly application: ApplicationManifest;
    /** The one that is here; null where none is yet. */
    readonly placement: string | null;
    /** Of the digests: the same for surveys that are compared, and never kept. */
    readonly salt: Uint8Array;
    readonly timeoutMs: number;
  }): Promise<ClusterSurvey>;

  /**
   * Makes sure that the placement exists, held, and that its agent is up; starts a dead agent again on its old state. Idempotent: the same
   * placement with the same spec is found again, whoever made it. @throws `placement-conflict` when it exists with another spec.
   */
  place(params: { readonly spec: PlacementSpec; readonly timeoutMs: number }): Promise<PlacedAgent>;

  /** The placement with its agent up, or null when it was certainly never made or was removed. @throws `agent-unreachable` when it exists but its agent is dead. */
  find(params: { readonly placement: string; readonly timeoutMs: number }): Promise<PlacedAgent | null>;

  /** What runs of the placement, seen from outside. An absent placement is `unknown`, never `terminated`. */
  witness(params: { readonly placement: string; readonly timeoutMs: number }): Promise<Witness>;

  /**
   * Ends the agent and removes the placement from service; its logs and receipts are kept aside. Idempotent, absence is fine.
   * @throws `wrong-state` while any process of the application lives or that is not known.
   */
  remove(params: { readonly placement: string; readonly timeoutMs: number }): Promise<void>;

  /** Ids of all placements here, removed ones not among them. */
  list(params: { readonly timeoutMs: number }): Promise<readonly string[]>;
}
