import { AppError, type ProbeVerdict, type StorageManifest, toAppError } from "@baton/protocol";
import type { ProbeResult } from "@baton/storage";
import { type MeasureInFlight, measureBinding } from "../ports/measure-binding.ts";
import { inFlightSubject, probeBinding, probeSubject } from "../ports/probe-binding.ts";
import type { InFlightEndpoint, ProbeRecords } from "../records/probe-records.ts";
import { Turns } from "./turns.ts";
import { type SeenWithKey, mergeProbes } from "./verdict.ts";

/** For each data key. */
const probeTimeoutMs = 30_000;
/** Within a preflight. */
const preflightMs = 20_000;

export interface StorageProbesParams {
  readonly records: ProbeRecords;
  /** Ends what is under way; what it had seen by then is not recorded. */
  readonly signal: AbortSignal;
  readonly measureInFlight: MeasureInFlight;
  readonly inFlightLimitMs: number;
}

/** Looks at storages and writes down what was seen, and also that nothing could be; one look at a time for each storage. */
export class StorageProbes {
  readonly #params: StorageProbesParams;
  readonly #turns = new Turns();

  constructor(params: StorageProbesParams) {
    this.#params = params;
  }

  /** With every data key that placements may be given. @throws what `probeBinding` throws, once it is on record. */
  async probe(storage: StorageManifest, options: { readonly thorough: boolean }): Promise<ProbeVerdict> {
    const { records, signal } = this.#params;
    const of = { ...probeSubject(storage), ...options };
    return this.#turns.take(storage.name, async () => {
      try {
        const verdict = await probeWithEveryKey({ storage, signal, ...options });
        await records.addProbe(of, verdict);
        return verdict;
      } catch (error) {
        if (!signal.aborted) await records.addProbe(of, failureOf(error));
        throw error;
      }
    });
  }

  /**
   * With the data key of one cluster alone, for an operation that is to use it there; on record as a probe of all keys where there is only one.
   *
   * @param signal of the operation's step. @throws what `probeBinding` throws, once it is on record.
   */
  async probeOn(storage: StorageManifest, cluster: string, signal: AbortSignal): Promise<ProbeResult> {
    const { records } = this.#params;
    const of = { ...probeSubject(storage, cluster), thorough: false };
    const both = AbortSignal.any([signal, this.#params.signal]);
    // Beside a probe that is under way, which may take longer than the step may wait: both have scratch keys of their own.
    return this.#turns.take(`${storage.name} on ${cluster}`, async () => {
      try {
        const result = await probeBinding({ storage, cluster, timeoutMs: preflightMs, signal: both });
        await records.addProbe(of, mergeProbes([{ cluster, result }]));
        return result;
      } catch (error) {
        if (!both.aborted) await records.addProbe(of, failureOf(error));
        throw error;
      }
    });
  }

  /** How long every endpoint waits for the rest of a body; takes as long. @throws what `measureBinding` throws, once it is on record. */
  async measure(storage: StorageManifest): Promise<readonly InFlightEndpoint[]> {
    const { records, signal, measureInFlight, inFlightLimitMs: limitMs } = this.#params;
    const of = inFlightSubject(storage);
    // Beside a probe, which would otherwise wait for minutes: both have scratch keys of their own.
    return this.#turns.take(`${storage.name} in flight`, async () => {
      try {
        const bounds = await measureBinding({ storage, limitMs, signal, measureInFlight });
        await records.addInFlight(of, bounds);
        return bounds;
      } catch (error) {
        if (!signal.aborted) await records.addInFlight(of, failureOf(error));
        throw error;
      }
    });
  }

  /** Once nothing is under way. */
  end(): Promise<void> {
    return this.#turns.end();
  }
}

async function probeWithEveryKey(params: {
  readonly storage: StorageManifest;
  readonly thorough: boolean;
  readonly signal: AbortSignal;
}): Promise<ProbeVerdict> {
  const { storage, thorough, signal } = params;
  const seen: SeenWithKey[] = [];
  for (const cluster of [null, ...Object.keys(storage.credentials.dataByCluster)]) {
    // What only a thorough probe tries has nothing to do with the application's key.
    const isThorough = thorough && cluster === null;
    const result = await probeBinding({
      storage,
      cluster,
      timeoutMs: probeTimeoutMs,
      thorough: isThorough,
      signal,
    });
    seen.push({ cluster, result });
    // A store that is of no use with one key is of no use with another.
    if (result.tests.some(({ required, passed }) => required && !passed)) break;
  }
  const [first, ...others] = seen;
  if (first === undefined) throw new AppError("internal", "cannot probe: a storage has a data key");
  return mergeProbes([first, ...others]);
}

function failureOf(error: unknown): { readonly code: string; readonly detail: string } {
  const { code, message: detail } = toAppError(error);
  return { code, detail };
}
