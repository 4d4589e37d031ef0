import { AppError } from "@baton/protocol";
import type { FencePort, KeyHolder } from "../ports.ts";

const nameOf = ({ placement, epoch }: KeyHolder): string => `${placement} in epoch ${epoch}`;

/** Keys in memory: which were taken away, and which of them with proof. */
export function createFakeFence() {
  const disabled = new Set<string>();
  const proven: string[] = [];
  const fence: FencePort & { readonly disabled: ReadonlySet<string>; readonly proven: readonly string[] } = {
    disabled,
    proven,
    assertOpen: async (holder) => {
      if (disabled.has(nameOf(holder)))
        throw new AppError("fence-unproven", `${nameOf(holder)} is refused already`);
    },
    apply: async (holder) => {
      disabled.add(nameOf(holder));
      proven.push(nameOf(holder));
      const key = {
        identity: nameOf(holder),
        disabledAt: "",
        denied: [],
        settleMs: 0,
        uploads: { aborted: 0, complete: true },
        inventory: { objects: 0, bytes: 0, digest: "" },
      };
      return { key, role: null };
    },
    disable: async (holder) => void disabled.add(nameOf(holder)),
  };
  return fence;
}
