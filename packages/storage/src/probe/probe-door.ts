import type { BucketPort } from "../bucket.port.ts";
import type { ObjectStore } from "../object-store.port.ts";
import type { IfMatchForm } from "../s3-object-store.ts";

/** One endpoint of the bucket, with all that is tried there. */
export interface ProbeDoor {
  readonly endpoint: string;
  /** With Baton's own key. */
  readonly control: (form: IfMatchForm) => ObjectStore;
  /** With the application's key. */
  readonly data: ObjectStore;
  /** Null: listings, uploads and versions are not tried. */
  readonly bucket: ((form: IfMatchForm) => BucketPort) | null;
  /** What the answers until now said of the server; null before the first. */
  readonly seen: () => { readonly server: string | null; readonly clockSkewMs: number | null } | null;
}

/** Gives every request the time that is left of the whole. */
export type Within = <T extends object>(request: T) => T & { readonly timeoutMs: number };
