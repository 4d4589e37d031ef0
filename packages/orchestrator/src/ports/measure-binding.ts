import { AppError, type StorageManifest, isAppError } from "@baton/protocol";
import type { ProbeDoor } from "@baton/storage";
import type { InFlightEndpoint } from "../records/probe-records.ts";
import { withDoors } from "./probe-binding.ts";
import { placesOf } from "./storages.ts";

/** How long the store behind one door waits for the rest of a body. */
export type MeasureInFlight = (params: {
  readonly door: ProbeDoor;
  readonly limitMs: number;
  readonly ca: string | undefined;
}) => Promise<InFlightEndpoint>;

/** Measures at every endpoint at once; takes as long as the slowest waits, up to `limitMs`. @throws what `measureInFlight` throws; the reason of `signal`. */
export async function measureBinding(params: {
  readonly storage: StorageManifest;
  readonly limitMs: number;
  readonly signal: AbortSignal;
  readonly measureInFlight: MeasureInFlight;
}): Promise<readonly InFlightEndpoint[]> {
  const { storage, limitMs, signal, measureInFlight } = params;
  const places = placesOf(storage);
  return withDoors({ storage, cluster: null, signal }, (doors) =>
    Promise.all(
      doors.map((door, n) =>
        measureInFlight({ door, limitMs, ca: places[n]?.ca }).catch((error: unknown) =>
          Promise.reject(unreached(door.endpoint, error)),
        ),
      ),
    ),
  );
}

/** The half upload goes past the store's client: a connection that breaks there has no words of its own. */
function unreached(endpoint: string, error: unknown): AppError {
  if (isAppError(error)) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "no answer";
  return new AppError(
    "storage-unreachable",
    `cannot measure how long ${endpoint} waits for the rest of a body: there is no connection (${code}); check the endpoint and the network`,
    { cause: error },
  );
}
