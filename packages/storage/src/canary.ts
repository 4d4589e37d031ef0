import type { ObjectStore } from "./object-store.port.ts";
import { assertPrefix, controlPrefix } from "./prefix.ts";

/**
 * Writes beside the lease, where only its holder's own scratch is, and removes it again: who can read a lease may still be kept from writing one.
 *
 * @throws everything that `ObjectStore.put` throws
 */
export async function writeCanary(params: {
  readonly store: ObjectStore;
  readonly prefix: string;
  readonly placement: string;
  readonly timeoutMs: number;
}): Promise<void> {
  const { store, prefix, placement, timeoutMs } = params;
  assertPrefix(prefix);
  const key = `${controlPrefix}leases/${prefix}canaries/${placement}`;
  await store.put({ key, body: placement, timeoutMs });
  // What stays is in nobody's way.
  await store.remove({ key, timeoutMs }).catch(() => undefined);
}
