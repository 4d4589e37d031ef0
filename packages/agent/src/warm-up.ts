import { scanTree } from "@baton/process-tree";
import {
  type PrivateKey,
  cookieVariable,
  newNonce,
  publicKeyOf,
  signCommand,
  verifyCommand,
} from "@baton/protocol";
import type { LeaseHolder } from "./lease-holder.ts";

/**
 * Does once, while nobody waits, what the first start and the first stop would otherwise be the first to do: code that was never run
 * takes longer than the work itself. Fails never: what cannot be done now will say so when it is needed.
 */
export async function warmUp(key: PrivateKey, placement: string, lease: LeaseHolder): Promise<void> {
  const cookie = { name: cookieVariable, value: newNonce() };
  await Promise.allSettled([
    signCommand({ key, placement, epoch: 0, command: { kind: "read" } }).then((token) =>
      verifyCommand({ key: publicKeyOf(key), placement, token }),
    ),
    scanTree({ cookie, roots: [], exclude: [process.pid] }),
    lease.status(null),
  ]);
}
