import { AppError, type ErrorCode, isAppError, newNonce } from "@baton/protocol";
import type { ObjectStore, PutCondition, PutResult } from "./object-store.port.ts";
import { assertPrefix, controlPrefix } from "./prefix.ts";

/** What a storage was seen to do; kept with the operation and shown in its plan. */
export interface ProbeResult {
  readonly testedAt: string;
  readonly tests: readonly ProbeTest[];
}

export interface ProbeTest {
  readonly name: string;
  readonly passed: boolean;
  /** What was seen, in words. */
  readonly detail: string;
}

/** Every test, and the error that its failure is. */
const tests = {
  "a create-only write of a new key is taken": "storage-conditions",
  "a second create-only write is refused": "storage-conditions",
  "a write with the right If-Match is taken": "storage-conditions",
  "a write with a stale If-Match is refused": "storage-conditions",
  "a write with If-Match of a missing key is refused": "storage-conditions",
  "the application's key writes and reads below its prefix": "storage-credentials",
  "the application's key cannot write below .baton/": "storage-unprotected",
  "the application's key cannot remove below .baton/": "storage-unprotected",
} as const satisfies Record<string, ErrorCode>;
type TestName = keyof typeof tests;

/**
 * Tries on scratch keys, removed afterwards, whether the store honours conditional writes and whether the application's key is kept out of
 * the control prefix (rule 9). The application's scratch key is `<prefix>.baton-probe-<random>`.
 *
 * @param params.timeoutMs for the whole, but the removal.
 * @throws AppError what `ObjectStore` throws where the answer is no verdict: not reachable, unclear, no such bucket, Baton's own key rejected.
 */
export async function probeStorage(params: {
  readonly control: ObjectStore;
  readonly data: ObjectStore;
  readonly prefix: string;
  readonly timeoutMs: number;
}): Promise<ProbeResult> {
  const { control, data, prefix } = params;
  assertPrefix(prefix);
  const scratch = newNonce();
  const controlKey = `${controlPrefix}probe/${scratch}`;
  const missingKey = `${controlKey}-missing`;
  const dataKey = `${prefix}.baton-probe-${scratch}`;
  const end = performance.now() + params.timeoutMs;
  const within = <T extends object>(request: T): T & { timeoutMs: number } => ({
    ...request,
    timeoutMs: Math.max(1, end - performance.now()),
  });

  const results: ProbeTest[] = [];
  /** `verdictOf` says which errors are an answer; any other ends the probe. */
  const test = async (params: {
    readonly name: TestName;
    readonly expected: string;
    readonly verdictOf: (error: AppError) => string | undefined;
    readonly run: () => Promise<string>;
  }): Promise<void> => {
    const detail = await params.run().catch((error: unknown) => {
      const verdict = isAppError(error) ? params.verdictOf(error) : undefined;
      if (verdict === undefined) throw error;
      return verdict;
    });
    results.push({
      name: params.name,
      passed: detail === params.expected || detail.startsWith(`${params.expected}: `),
      detail,
    });
  };
  /** Writes with Baton's own key. */
  const testPut = (
    name: TestName,
    expected: PutResult["kind"],
    put: { readonly key: string; readonly body: string; readonly condition: PutCondition },
  ): Promise<void> =>
    test({
      name,
      expected,
      verdictOf: notImplemented,
      run: async () => (await control.put(within(put))).kind,
    });

  try {
    const absent = { kind: "absent" } as const;
    const key = controlKey;
    await testPut("a create-only write of a new key is taken", "stored", {
      key,
      body: "first",
      condition: absent,
    });
    const read = await control.get(within({ key }));
    const match = { kind: "match", etag: read?.etag ?? '"missing"' } as const;
    await testPut("a second create-only write is refused", "refused", {
      key,
      body: "second",
      condition: absent,
    });
    await testPut("a write with the right If-Match is taken", "stored", {
      key,
      body: "third",
      condition: match,
    });
    await testPut("a write with a stale If-Match is refused", "refused", {
      key,
      body: "fourth",
      condition: match,
    });
    await testPut("a write with If-Match of a missing key is refused", "refused", {
      key: missingKey,
      body: "fifth",
      condition: match,
    });
    await test({
      name: "the application's key writes and reads below its prefix",
      expected: "same bytes",
      verdictOf: denied,
      run: async () => {
        await data.put(within({ key: dataKey, body: scratch }));
        const own = await data.get(within({ key: dataKey }));
        return Buffer.from(own?.body ?? "").toString("utf8") === scratch ? "same bytes" : "other bytes";
      },
    });
    await test({
      name: "the application's key cannot write below .baton/",
      expected: "denied",
      verdictOf: denied,
      run: async () => (await data.put(within({ key, body: "sixth" }))).kind,
    });
    await test({
      name: "the application's key cannot remove below .baton/",
      expected: "denied",
      verdictOf: denied,
      run: async () => {
        await data.remove(within({ key }));
        return "removed";
      },
    });
  } finally {
    const timeoutMs = Math.min(params.timeoutMs, 2_000);
    // A scratch key that stays harms nobody; its removal must not hide what was found.
    await Promise.allSettled([
      control.remove({ key: controlKey, timeoutMs }),
      control.remove({ key: missingKey, timeoutMs }),
      data.remove({ key: dataKey, timeoutMs }),
    ]);
  }
  return { testedAt: new Date().toISOString(), tests: results };
}

const advice: Readonly<Record<(typeof tests)[TestName], string>> = {
  "storage-conditions": "use a store that honours conditional writes",
  "storage-credentials": "correct the application's key, or allow it to write and read below its prefix",
  "storage-unprotected": `forbid the application's key to write and remove below "${controlPrefix}"`,
};

/**
 * @param what the storage in words, as it shall stand in "cannot use <what>: …".
 * @throws AppError `storage-conditions`, `storage-credentials` or `storage-unprotected` (the first that holds), naming every failed test.
 */
export function assertProbe(result: ProbeResult, what: string): void {
  const failed = result.tests.filter(({ passed }) => !passed);
  const codes = new Set(failed.map(({ name }) => tests[name as TestName]));
  const [code] = codes;
  if (code === undefined) return;
  const seen = failed.map(({ name, detail }) => `not true that ${name} (seen: ${detail})`).join("; ");
  throw new AppError(
    code,
    `cannot use ${what}: ${seen}; ${[...codes].map((each) => advice[each]).join("; ")}`,
  );
}

/** Some stores answer a conditional write with 501: a verdict on the store. */
const notImplemented = (error: AppError): string | undefined =>
  error.meta?.["status"] === 501 ? "not implemented" : undefined;

const denied = (error: AppError): string | undefined =>
  error.code === "storage-credentials" ? `denied: ${error.message}` : undefined;
