import { AppError } from "@baton/protocol";
import { controlPrefix } from "../prefix.ts";
import type { ProbeResult } from "./probe.ts";
import { type TestName, probeTests } from "./probe-tests.ts";

type Refusal = Exclude<(typeof probeTests)[TestName], null>;

const advice: Readonly<Record<Refusal, string>> = {
  "storage-conditions": "use a store that honours conditional writes",
  "storage-stale": "use endpoints that show a write at once",
  "storage-credentials": "correct the application's key, or allow it to write and read below its prefix",
  "storage-unprotected": `forbid the application's key to write and remove below "${controlPrefix}"`,
};

/**
 * @param what the storage in words, as it shall stand in "cannot use <what>: …".
 * @throws AppError `storage-conditions`, `storage-stale`, `storage-credentials` or `storage-unprotected` (the first that holds), naming every
 * required test that failed.
 */
export function assertProbe(result: ProbeResult, what: string): void {
  const failed = result.tests.filter(({ passed, required }) => required && !passed);
  const codes = new Set(failed.map(({ name }) => probeTests[name as TestName] as Refusal));
  const [code] = codes;
  if (code === undefined) return;
  const seen = failed.map(({ name, detail }) => `not true that ${name} (seen: ${detail})`).join("; ");
  throw new AppError(
    code,
    `cannot use ${what}: ${seen}; ${[...codes].map((each) => advice[each]).join("; ")}`,
  );
}
