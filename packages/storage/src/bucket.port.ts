import type { PutCondition } from "./object-store.port.ts";

/** One version of an object, or a mark that it was deleted (no size, no ETag). */
export interface VersionEntry {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** As the store gave it, quotes included. */
  readonly etag: string;
  /** Null where the object has none: written without versioning, or listed by a store that does not tell versions. */
  readonly versionId: string | null;
  readonly isLatest: boolean;
  readonly deleteMarker: boolean;
}

export interface VersionPage {
  /** `versions`: every version and delete marker; `objects`: the store lists no versions, so these are the current objects. */
  readonly kind: "versions" | "objects";
  /** By key in the order that the store gave; within a key the latest first. */
  readonly entries: readonly VersionEntry[];
}

/** `never`: versioning was never turned on; `unknown`: the store answered, but does not tell. */
export interface Versioning {
  readonly status: "enabled" | "suspended" | "never" | "unknown";
  /** What was seen, in words. */
  readonly why: string;
}

export interface OpenUpload {
  readonly key: string;
  readonly uploadId: string;
}

export interface UploadPart {
  readonly partNumber: number;
  readonly etag: string;
}

export interface RequestLimit {
  /** For one request, from the call until the last byte of its answer. */
  readonly timeoutMs: number;
}

export interface ListingLimit {
  /** For one page: it is asked for again within this time while the store is unreachable or unclear, as reading is safe to repeat. */
  readonly pageTimeoutMs: number;
  /** For the whole listing. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What reads or administers a bucket beyond {@link ObjectStore}; nothing here writes a lease. A call sends exactly one request, listings one for
 * each page.
 *
 * Errors: those of `ObjectStore`. A listing also throws `deadline-exceeded`, and `storage-failed` for what is no whole listing: another document,
 * a page that is cut without saying how to go on, or a way on that leads in a circle. So an end without an error is the end.
 */
export interface BucketPort {
  /** Everything below the prefix. Only a store that says that it lists no versions is asked for its current objects instead. */
  listVersions(params: ListingLimit & { readonly prefix: string }): AsyncIterable<VersionPage>;
  readVersioning(params: RequestLimit): Promise<Versioning>;
  /**
   * Multipart uploads below the prefix that were neither completed nor aborted: all that the store lists, which on MinIO are those of the very
   * key alone. See `findOpenUploads`, which finds that out.
   */
  listUploads(params: ListingLimit & { readonly prefix: string }): Promise<readonly OpenUpload[]>;
  /** Idempotent; absence is fine. Parts that are still arriving may survive it: list again afterwards. */
  abortUpload(params: RequestLimit & OpenUpload): Promise<void>;
  /** Not idempotent: an upload whose answer is lost stays open until somebody lists and aborts it. */
  createMultipart(params: RequestLimit & { readonly key: string }): Promise<OpenUpload>;
  /** Idempotent. */
  uploadPart(
    params: RequestLimit & OpenUpload & { readonly partNumber: number; readonly body: Uint8Array | string },
  ): Promise<UploadPart>;
  /** `refused`: the condition was false, and the upload is still open. Parts in ascending order. */
  completeMultipart(
    params: RequestLimit &
      OpenUpload & { readonly parts: readonly UploadPart[]; readonly condition?: PutCondition | undefined },
  ): Promise<"completed" | "refused">;
  /** Removes the object only if it still has this ETag; `refused` also where there is none. */
  removeIf(
    params: RequestLimit & { readonly key: string; readonly etag: string },
  ): Promise<"removed" | "refused">;
  /** A URL that lets whoever has it PUT this key, until then: a secret. Sends nothing. */
  presignPut(params: { readonly key: string; readonly validitySeconds: number }): Promise<string>;
  /** Ends idle connections. */
  close(): void;
}
