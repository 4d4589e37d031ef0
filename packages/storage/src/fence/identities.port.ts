import type { AccessKey } from "@baton/protocol";

/**
 * A store's administration of keys: one identity for each placement and epoch, limited to the binding's prefix. Every call is idempotent, sends
 * what it asks of the store within `timeoutMs`, and throws the codes of `ObjectStore`.
 */
export interface Identities {
  /** Lets all identities of the binding do what an application does: read, write, remove below the prefix, and list. Once for a binding. */
  prepare(params: { readonly timeoutMs: number }): Promise<void>;
  /**
   * The key of the identity, which is made if there is none.
   * @throws AppError `fence-standing` when the identity was disabled: it never comes back, and another epoch has another one.
   */
  issue(params: { readonly identity: string; readonly timeoutMs: number }): Promise<AccessKey>;
  /** A key of the identity to try with, whether it is disabled or not; null when there was never one. */
  keyOf(params: { readonly identity: string; readonly timeoutMs: number }): Promise<AccessKey | null>;
  /**
   * From now on the store takes nothing that is signed by any key of this identity, for ever: also when it is issued only later, by
   * somebody who was late. How soon each endpoint has heard of it is not said: that is tried. An issue that the store is carrying out at this very moment
   * may still win: whoever must be sure asks again a while later.
   */
  disable(params: { readonly identity: string; readonly timeoutMs: number }): Promise<void>;
  /**
   * Takes one key away that was not made here, by its id, for good; where the provider can. Idempotent, also for a key that is gone.
   * @throws AppError `fence-unproven` for a key that it cannot take away by itself.
   */
  disableKey?(params: { readonly accessKeyId: string; readonly timeoutMs: number }): Promise<void>;
  close(): void;
}
