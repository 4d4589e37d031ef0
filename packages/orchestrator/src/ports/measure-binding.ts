import type { StorageManifest } from "@baton/protocol";
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
    Promise.all(doors.map((door, n) => measureInFlight({ door, limitMs, ca: places[n]?.ca }))),
  );
}
