import type { TrafficPluginManifest } from "@baton/protocol";

/** Where an application is served. */
export interface ServedRoute {
  readonly placement: string;
  readonly cluster: string;
  readonly url: string;
}

/** What a receiver shall know from now on. */
export interface Telling {
  readonly application: string;
  /** Of the installation and the application: another orchestrator's is another one. */
  readonly owner: string;
  /** Of the placement that serves, or served last. Never falls. */
  readonly epoch: number;
  /** Grows with everything that a receiver is told: what has a lower one than it knows is late, and to be left undone. */
  readonly revision: number;
  /** Null: nothing serves. */
  readonly route: ServedRoute | null;
  /** What it confirmed before this; null: nothing, or that nothing serves. */
  readonly previous: ServedRoute | null;
  /** Taken out of the manifest: nothing is left there. */
  readonly isLast: boolean;
}

/** One receiver of routes. */
export interface TrafficPlugin {
  /**
   * Resolves once the receiver confirmed. Idempotent by the revision. Ends with `signal`, and leaves nothing running.
   *
   * @throws `traffic-failed` (try again), `traffic-unusable`, `traffic-refused`, `secret-unavailable`
   */
  tell(telling: Telling, signal: AbortSignal): Promise<void>;
  /** That it can be told at all, as far as is cheap to see; changes nothing. @throws as `tell` */
  check(signal: AbortSignal): Promise<void>;
}

export type OpenTraffic = (manifest: TrafficPluginManifest) => TrafficPlugin;
