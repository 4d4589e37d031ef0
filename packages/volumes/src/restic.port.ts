import type { Progress } from "./progress.ts";
import type { RunLimit } from "./restic-process.ts";

export interface Snapshot {
  readonly id: string;
  readonly takenAt: string;
  readonly volume: string;
  readonly epoch: number;
  /** A pass while the application ran is crash-consistent at best; what counts is `final`, after the proven stop. */
  readonly kind: "pass" | "final";
  /** The last part of the path it was taken of: what it is restored as. */
  readonly folder: string;
}

export interface BackupResult {
  readonly snapshot: Snapshot;
  readonly files: number;
  readonly bytes: number;
  /** What was new in it, before compression. */
  readonly bytesAdded: number;
  /** What could not be read, as restic names it; with any the snapshot is not whole. */
  readonly unread: readonly string[];
}

/** Each by number or age of snapshots; what neither keeps is forgotten. */
export interface RetentionPolicy {
  readonly keepLast: number;
  readonly keepWithinDays?: number | undefined;
}

/**
 * One application's repository. The version of the program and the key are looked at before the first call.
 *
 * Errors of every method: `copier-unfit`, `copier-failed`, `repository-key`, `repository-locked`, `storage-unreachable`, `storage-credentials`,
 * `storage-bucket-missing`, `deadline-exceeded`, `not-found` (no repository, or no such snapshot); the signal's reason. A lock whose holder is dead
 * by restic's own rule is taken away once.
 */
export interface Repository {
  /** Idempotent: one that is there and opens with the key stays as it is. Two at the same moment are not safe; the application's operation keeps them apart. */
  init(params: RunLimit): Promise<void>;
  /**
   * Not idempotent: each call leaves a snapshot. The volume's own owner, mode and attributes are in it. Nothing is told of files that changed
   * while they were read: see `changesOf`.
   */
  backup(
    params: RunLimit & {
      readonly path: string;
      readonly volume: string;
      readonly epoch: number;
      readonly kind: Snapshot["kind"];
      /** Paths below the volume; nothing in them is a pattern. */
      readonly exclude: readonly string[];
      readonly onProgress?: ((progress: Progress) => void) | undefined;
    },
  ): Promise<BackupResult>;
  /** By age, the latest last; of one volume or of all. */
  snapshots(params: RunLimit & { readonly volume?: string | undefined }): Promise<readonly Snapshot[]>;
  /** What a restore of it needs. */
  sizeOf(
    params: RunLimit & { readonly id: string },
  ): Promise<{ readonly bytes: number; readonly files: number }>;
  /** Idempotent. Writes `target/folder`; whoever calls says that `target` may be written. An end without an error is a whole restore. */
  restore(
    params: RunLimit & {
      readonly snapshot: Snapshot;
      readonly target: string;
      readonly onProgress?: ((progress: Progress) => void) | undefined;
    },
  ): Promise<void>;
  /** Idempotent. @returns what was forgotten; its data goes with it. */
  forget(params: RunLimit & RetentionPolicy & { readonly volume: string }): Promise<readonly Snapshot[]>;
  /** @throws AppError `copier-failed` when the repository is damaged. */
  check(params: RunLimit & { readonly readData?: boolean | undefined }): Promise<void>;
}
