import type { FencePort } from "@baton/migration";
import type { PrivateKey } from "@baton/protocol";
import type { PlacementRecord } from "../records/placement-records.ts";
import type { ProbeRecords } from "../records/probe-records.ts";
import { openDatabaseRoles } from "./database-roles.ts";
import { composeFence } from "./fence-port.ts";
import { openIdentities } from "./identities.ts";
import { createKeyFence } from "./key-fence.ts";
import { inFlightSubject } from "./probe-binding.ts";
import { createRoleFence } from "./role-fence.ts";

type Deployment = Pick<PlacementRecord, "application" | "manifest" | "storage" | "database">;

/** Everything that an application may write to, and where its keys to that are made. */
export function openKeys({ application, manifest, storage, database }: Deployment, signingKey: PrivateKey) {
  const written = manifest.storageUse === "lease" ? null : storage;
  return {
    /** Null: only its lease is in the bucket. */
    storage: written,
    identities: written === null ? null : openIdentities(written, signingKey),
    roles: database === null ? null : openDatabaseRoles({ database, application, signingKey }),
  };
}

/** The fence of all of it; one that leaves something out is never proven. */
export function openFence(params: {
  readonly deployment: Deployment;
  readonly signingKey: PrivateKey;
  readonly probeRecords: Pick<ProbeRecords, "inFlight">;
}): FencePort | null {
  const { deployment, signingKey, probeRecords } = params;
  const { storage, identities, roles } = openKeys(deployment, signingKey);
  return composeFence({
    key:
      storage === null || identities === null
        ? null
        : createKeyFence({
            storage,
            identities,
            inFlightMs: async () => (await probeRecords.inFlight(inFlightSubject(storage)))?.ms ?? null,
          }),
    role: roles === null ? null : createRoleFence(roles),
    gap:
      storage === null || identities !== null
        ? null
        : `the storage "${storage.name}" has no fence, and the application has a key to it; give it one, or say "storageUse: lease" of an application that keeps nothing there`,
  });
}
