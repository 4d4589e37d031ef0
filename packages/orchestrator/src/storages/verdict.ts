import type { ProbeRecord, ProbeVerdict, StorageManifest, StorageView } from "@baton/protocol";
import { isAppError } from "@baton/protocol";
import { type ProbeResult, assertProbe } from "@baton/storage";

/** What a probe saw with one of the data keys. */
export interface SeenWithKey {
  /** Whose key; null: of clusters that have none of their own. */
  readonly cluster: string | null;
  readonly result: ProbeResult;
}

/** One verdict over all data keys: a test has passed when it did with each of them. */
export function mergeProbes([first, ...others]: readonly [SeenWithKey, ...SeenWithKey[]]): ProbeVerdict {
  const { endpoints, server, clockSkewMs, ifMatch } = first.result;
  const tests = first.result.tests.map((test) => {
    if (!test.passed) return test;
    for (const { cluster, result } of others) {
      const other = result.tests.find(({ name }) => name === test.name);
      if (other?.passed === false)
        return { ...other, detail: `${other.detail}, with the data key of ${String(cluster)}` };
    }
    return test;
  });
  return { endpoints: [...endpoints], server, clockSkewMs, ifMatch, tests };
}

/** @throws what `assertProbe` throws: that the storage cannot be used, and why. */
export const assertVerdict = (name: string, verdict: ProbeVerdict): void =>
  assertProbe({ ...verdict, testedAt: "" }, `storage "${name}"`);

/** What the newest probe says of a storage. */
export function fitnessOf(
  { name, ifMatch }: StorageManifest,
  probe: ProbeRecord | null,
): Pick<StorageView, "fitness" | "reason"> {
  if (probe === null) return { fitness: "unknown", reason: null };
  const { verdict, error } = probe;
  if (verdict === null) return { fitness: "unfit", reason: error?.detail ?? null };
  if (ifMatch !== undefined && ifMatch !== verdict.ifMatch)
    return {
      fitness: "unfit",
      reason: `cannot use storage "${name}": the store wants ETags ${verdict.ifMatch} in If-Match now, and wanted them ${ifMatch} when it was added; find out what was changed there`,
    };
  try {
    assertVerdict(name, verdict);
  } catch (failure) {
    if (isAppError(failure)) return { fitness: "unfit", reason: failure.message };
    throw failure;
  }
  return { fitness: "fit", reason: null };
}
