/** What moves with an application on its own disks: copies by restic, and directories that are never destroyed. */
export { type RepositoryOptions, openRepository } from "./restic-repository.ts";
export type { BackupResult, Repository, RetentionPolicy, Snapshot } from "./restic.port.ts";
