import { newNonce } from "@baton/protocol";
import { assertPrefix, controlPrefix } from "../prefix.ts";
import type { IfMatchForm } from "../s3-object-store.ts";
import { probeApplicationKey } from "./application-key.ts";
import { probeConditions } from "./conditions.ts";
import { probeDeviations } from "./deviations.ts";
import type { ProbeDoor, Within } from "./probe-door.ts";
import { type ProbeTest, verdict } from "./probe-tests.ts";
import { probeRaces, probeReads } from "./races.ts";

/** What a storage was seen to do; kept, and shown in plans. */
export interface ProbeResult {
  readonly testedAt: string;
  readonly endpoints: readonly string[];
  /** As the store calls itself; null where it does not. */
  readonly server: string | null;
  /** The store's clock against this machine's, to about a second. */
  readonly clockSkewMs: number | null;
  /** In which form it was found to want ETags. */
  readonly ifMatch: IfMatchForm;
  readonly tests: readonly ProbeTest[];
}

const largestSkewMs = 60_000;

/**
 * Tries on scratch keys, removed afterwards, whether the store honours conditional writes at all its endpoints, is consistent, and keeps the application's
 * key out of the control prefix (rule 9). The application's scratch key is `<prefix>.baton-probe-<random>`.
 *
 * @param params.doors every endpoint of the bucket. @param params.replicas endpoints that may show a write late: nothing conditional goes there, and
 * no write is looked for there that went elsewhere. @param params.timeoutMs for the whole, but the removal.
 * @param params.thorough also what takes seconds.
 * @throws AppError what `ObjectStore` throws where the answer is no verdict: not reachable, unclear, no such bucket, Baton's own key rejected.
 */
export async function probeStorage(params: {
  readonly doors: readonly [ProbeDoor, ...ProbeDoor[]];
  readonly replicas?: readonly ProbeDoor[] | undefined;
  readonly prefix: string;
  readonly timeoutMs: number;
  readonly thorough?: boolean | undefined;
  readonly ca?: string | undefined;
}): Promise<ProbeResult> {
  const { doors, replicas = [], prefix, thorough = false, ca } = params;
  const all = [...doors, ...replicas];
  assertPrefix(prefix);
  const [door] = doors;
  const scratch = newNonce();
  const controlKeys: string[] = [];
  const newKey = (): string => {
    const key = `${controlPrefix}probe/${scratch}-${controlKeys.length}`;
    controlKeys.push(key);
    return key;
  };
  const dataKey = `${prefix}.baton-probe-${scratch}`;
  const end = performance.now() + params.timeoutMs;
  const within: Within = (request) => ({ ...request, timeoutMs: Math.max(1, end - performance.now()) });

  const tests: ProbeTest[] = [];
  let ifMatch: IfMatchForm = "quoted";
  const controlKey = newKey();
  try {
    const conditions = await probeConditions({ door, key: controlKey, missingKey: newKey(), within });
    ({ ifMatch } = conditions);
    tests.push(...conditions.tests);
    const stores = doors.map(({ control }) => control(ifMatch));
    // A race on a store that ignores conditions tells nothing new, and the next test would wait for it.
    if (conditions.tests.every(({ passed }) => passed))
      tests.push(...(await probeRaces({ stores, newKey, within, rounds: thorough ? 3 : 1 })));
    tests.push(await probeReads({ stores, newKey, within }));
    tests.push(...(await probeApplicationKey({ doors: all, dataKey, controlKey, content: scratch, within })));
    const buckets = doors.flatMap(({ bucket }) => (bucket === null ? [] : [bucket(ifMatch)]));
    tests.push(...(await probeDeviations({ stores, buckets, newKey, within, thorough, ca })));
  } finally {
    const timeoutMs = Math.min(params.timeoutMs, 2_000);
    const control = door.control(ifMatch);
    // A scratch key that stays harms nobody; its removal must not hide what was found.
    await Promise.allSettled([
      ...controlKeys.map((key) => control.remove({ key, timeoutMs })),
      // A replica may bring back what is removed elsewhere alone.
      ...[door, ...replicas].map(({ data }) => data.remove({ key: dataKey, timeoutMs })),
    ]);
  }
  const seen = all.map((each) => each.seen());
  const skews = seen.flatMap((each) => (typeof each?.clockSkewMs === "number" ? [each.clockSkewMs] : []));
  const clockSkewMs = skews.toSorted((a, b) => Math.abs(b) - Math.abs(a))[0] ?? null;
  if (clockSkewMs !== null)
    tests.push(
      verdict(
        "the clocks of the store and of this machine agree to a minute",
        Math.abs(clockSkewMs) <= largestSkewMs,
        `${(clockSkewMs / 1_000).toFixed(1)} s apart`,
      ),
    );
  return {
    testedAt: new Date().toISOString(),
    endpoints: all.map(({ endpoint }) => endpoint),
    server: seen[0]?.server ?? null,
    clockSkewMs,
    ifMatch,
    tests,
  };
}
