/**
 * A part outside the repository (a database, a cluster) that a suite or test cannot run without.
 *
 * A suite declares it beside its skip, and needs no import for it:
 * `describe("lease on MinIO", { skip: missing, meta: { needs: { part: "minio", reason: "no minio on PATH" } } }, …)`.
 * When it is skipped, the report names it in its last lines, and a run with `CI` set fails.
 */
export interface NeededPart {
  readonly part: string;
  /** Why it is not there, for the report of a run in which it is missing. */
  readonly reason: string;
  /** Nowhere to be had on the build machine: named in its report as well, but no failure of it. */
  readonly nowhere?: boolean;
}

declare module "vitest" {
  interface TaskMeta {
    readonly needs?: NeededPart;
  }
}
