import type { DeployInput } from "@baton/migration";
import { type StopStrategy, longestStopMs, usualStopPolicy } from "@baton/protocol";
import type { PlacementRecord } from "../records/placement-records.ts";

/** What an operation goes by: its own settings, then those of the deployment's snapshot. */
export function sagaInput(
  operation: {
    readonly strategy: StopStrategy | null;
    readonly knownEpoch: number;
    readonly adoptedEpoch: number;
    /** How long may be waited for a replica; 0 where there is none. */
    readonly replicaMs: number;
  },
  { application, manifest, storage }: Pick<PlacementRecord, "application" | "manifest" | "storage">,
): DeployInput {
  const policy = manifest.stop ?? usualStopPolicy;
  return {
    application,
    graceMs: longestStopMs(manifest.hook),
    readyTimeoutMs: manifest.readiness.timeoutMs,
    verify: manifest.verify ?? null,
    settleMs: storage.settleMs,
    replicaMs: operation.replicaMs,
    stop: { ...policy, strategy: operation.strategy ?? policy.strategy },
    knownEpoch: operation.knownEpoch,
    adoptedEpoch: operation.adoptedEpoch,
  };
}
