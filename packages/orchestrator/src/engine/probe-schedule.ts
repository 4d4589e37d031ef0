import { type StorageManifest, toAppError } from "@baton/protocol";
import type { Logger } from "pino";
import { inFlightSubject, probeSubject } from "../ports/probe-binding.ts";
import type { ProbeRecords } from "../records/probe-records.ts";
import type { StorageProbes } from "../storages/storage-probes.ts";
import { assertVerdict } from "../storages/verdict.ts";
import { repeat } from "./repeat.ts";

/** How often it is looked whether something is due, and how soon after a probe that came to no verdict. */
const longestPauseMs = 60_000;
const retryMs = 900_000;

export interface ProbeScheduleParams {
  readonly storages: () => Promise<readonly StorageManifest[]>;
  readonly records: ProbeRecords;
  readonly probes: StorageProbes;
  /** Of a thorough probe, and of measuring the in-flight bound. */
  readonly everyMs: { readonly probe: number; readonly inFlight: number };
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Looks at every storage again and again, one after the other, never at the start itself. @returns how to end it, once `signal` is aborted. */
export function scheduleProbes(params: ProbeScheduleParams): () => Promise<void> {
  const shortest = Math.min(params.everyMs.probe, params.everyMs.inFlight, longestPauseMs);
  return repeat(shortest, "probe the storages", () => probeWhatIsDue(params), params.log);
}

async function probeWhatIsDue(params: ProbeScheduleParams): Promise<void> {
  const { storages, records, probes, everyMs, log, signal } = params;
  const due = (ms: number) => ({ everyMs: ms, retryMs: Math.min(ms, retryMs) });
  const attempt = async (storage: string, what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (signal.aborted) return;
      const { code, message } = toAppError(error);
      log.warn({ storage, code, ...(code === "internal" && { err: error }) }, `${what}: ${message}`);
    }
  };
  for (const storage of await storages()) {
    const { name } = storage;
    if (signal.aborted) return;
    await attempt(name, "the storage is unfit", async () => {
      if (!(await records.isDue("probe", probeSubject(storage), due(everyMs.probe)))) return;
      assertVerdict(name, await probes.probe(storage, { thorough: true }));
    });
    await attempt(name, "the in-flight bound is not known", async () => {
      if (await records.isDue("in-flight", inFlightSubject(storage), due(everyMs.inFlight)))
        await probes.measure(storage);
    });
  }
}
