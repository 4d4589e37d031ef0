export interface StoredObject {
  readonly body: Uint8Array;
  readonly etag: string;
}

/** `absent`: only if there is no such object; `match`: only if it still has this ETag (as the store gave it). */
export type PutCondition = { readonly kind: "absent" } | { readonly kind: "match"; readonly etag: string };

/** `refused`: the condition was false (412, 409, or 404 for `match`): the store certainly did not take the write. */
export type PutResult = { readonly kind: "stored"; readonly etag: string } | { readonly kind: "refused" };

/**
 * One bucket of an S3 store, seen with one key pair. Every call has a deadline (`timeoutMs`) and sends exactly one request:
 * a client that retries a create-only write by itself turns its own success into a refusal.
 *
 * Errors: `storage-unreachable` (no connection: the request was not sent), `storage-unclear` (timeout, reset or 5xx after sending: a write may
 * or may not have been taken), `storage-bucket-missing`, `storage-credentials` (unknown key, wrong secret, denied),
 * `storage-failed` (any other answer). Absence is `null` only where the store said so for that very key (NoSuchKey).
 */
export interface ObjectStore {
  get(params: { readonly key: string; readonly timeoutMs: number }): Promise<StoredObject | null>;
  put(params: {
    readonly key: string;
    readonly body: Uint8Array | string;
    readonly condition?: PutCondition | undefined;
    readonly timeoutMs: number;
  }): Promise<PutResult>;
  /** Idempotent; absence is fine. */
  remove(params: { readonly key: string; readonly timeoutMs: number }): Promise<void>;
}
