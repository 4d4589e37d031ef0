/** What moves with an application on its own disks: copies by restic, and directories that are never destroyed. */
export { changesOf, compareTrees } from "./compare-trees.ts";
export type { TreeDifference } from "./compare-trees.ts";
export { readEntries, writeEntries } from "./entry-file.ts";
export { expectedDowntimeMs, nextPass } from "./passes.ts";
export type { NextPass, Pass, PassPolicy } from "./passes.ts";
export type { BackupResult, Repository, RetentionPolicy, Snapshot } from "./restic.port.ts";
export { openRepository } from "./restic-repository.ts";
export type { RepositoryOptions } from "./restic-repository.ts";
export { treeEntries } from "./tree-entries.ts";
export type { TreeOptions } from "./tree-entries.ts";
export { openVolumeDirectory } from "./volume-directory.ts";
export type { VolumeDirectory, VolumeDirectoryOptions, VolumeState } from "./volume-directory.ts";
