import type { ErrorCode } from "@baton/protocol";

/** What is tried, and the error that its failure is; null: a deviation that is told, and no reason to refuse the storage. */
export const probeTests = {
  "a create-only write of a new key is taken": "storage-conditions",
  "a second create-only write is refused": "storage-conditions",
  "a write with the right If-Match is taken": "storage-conditions",
  "a write with a stale If-Match is refused": "storage-conditions",
  "a write with If-Match of a missing key is refused": "storage-conditions",
  "one of 16 create-only writes at once wins, at whatever endpoint": "storage-conditions",
  "one of 16 writes with one If-Match wins, at whatever endpoint": "storage-conditions",
  "what one endpoint took is read at once at every other": "storage-stale",
  "the application's key writes and reads below its prefix": "storage-credentials",
  "the application's key cannot write below .baton/": "storage-unprotected",
  "the application's key cannot remove below .baton/": "storage-unprotected",
  "what one endpoint took is listed at once at every other": null,
  "an object below another object's key is listed": null,
  "open uploads are listed by prefix": null,
  "a removal with a stale If-Match is refused": null,
  "completing a multipart upload heeds its condition": null,
  "an aborted upload is gone": null,
  "older versions are kept": null,
  "the clocks of the store and of this machine agree to a minute": null,
  "a presigned URL is refused when its validity is over": null,
} as const satisfies Record<string, ErrorCode | null>;
export type TestName = keyof typeof probeTests;

export interface ProbeTest {
  readonly name: string;
  readonly passed: boolean;
  /** False: a failure is a deviation of the store that is told, no more. */
  readonly required: boolean;
  /** What was seen, in words. */
  readonly detail: string;
}

export const verdict = (name: TestName, passed: boolean, detail: string): ProbeTest => ({
  name,
  passed,
  required: probeTests[name] !== null,
  detail,
});
