import { AppError, type HandedOver, type ServedKey, toAppError } from "@baton/protocol";
import type { ServingPlacement } from "../records/placement-records.ts";

const placementMs = 60_000;

/**
 * Gives every application that is served its key by its agent the newest one, while it runs. Where that fails it goes on with the old one, and the others
 * are not held up; asked again, it tells how far the key has come.
 */
export async function handOverKeys(params: {
  /** Of one storage. */
  readonly serving: readonly ServingPlacement[];
  /** As `KeyedPlacementPort` says; null where none runs. */
  readonly replaceKey: (at: ServingPlacement, signal: AbortSignal) => Promise<ServedKey | null>;
}): Promise<readonly HandedOver[]> {
  const { serving, replaceKey } = params;
  const served = serving.filter(({ storage }) => storage.credentials.delivery === "endpoint");
  const handed = await Promise.all(
    served.map(async (at): Promise<readonly HandedOver[]> => {
      const { application, placement, cluster } = at;
      try {
        // What an operation starts, and in which epoch, is not for us to guess: its key may be the one before.
        if (at.operation !== null)
          throw new AppError(
            "wrong-state",
            `cannot replace the key of ${application}: operation ${at.operation} is not over; ask again when it is`,
          );
        const taken = await replaceKey(at, AbortSignal.timeout(placementMs));
        return taken === null ? [] : [{ application, placement, cluster, taken, error: null }];
      } catch (error) {
        const { code, message } = toAppError(error);
        return [{ application, placement, cluster, taken: null, error: { code, detail: message } }];
      }
    }),
  );
  return handed.flat();
}
