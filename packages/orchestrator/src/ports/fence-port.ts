import type { FencePort, KeyHolder } from "@baton/migration";
import { AppError, type KeyFence, type RoleFence } from "@baton/protocol";

/** How one thing that an application writes to is taken from a placement; see `FencePort`. */
export interface Fence<T> {
  assertOpen(holder: KeyHolder): Promise<void>;
  apply(holder: KeyHolder): Promise<T>;
  disable(holder: KeyHolder): Promise<void>;
}

/** The fence of everything that an application writes to; null where there is nothing that could be taken away. */
export function composeFence(params: {
  readonly key: Fence<KeyFence> | null;
  readonly role: Fence<RoleFence> | null;
  /** What the application writes to besides, that has no fence: with it all others together are none. */
  readonly gap: string | null;
}): FencePort | null {
  const { key, role, gap } = params;
  if (key === null && role === null) return null;
  const assertWhole = (): void => {
    if (gap !== null)
      throw new AppError(
        "fence-unproven",
        `cannot fence the source: ${gap}; nothing is handed over without it`,
      );
  };
  return {
    async assertOpen(holder) {
      assertWhole();
      await role?.assertOpen(holder);
      await key?.assertOpen(holder);
    },
    async apply(holder) {
      assertWhole();
      // Within seconds, where a store may need minutes.
      const shutOut = role === null ? null : await role.apply(holder);
      return { key: key === null ? null : await key.apply(holder), role: shutOut };
    },
    async disable(holder) {
      await role?.disable(holder);
      await key?.disable(holder);
    },
  };
}
