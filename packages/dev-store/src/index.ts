export { startDevStore } from "./dev-store.ts";
export type { DevStore, DevStoreFaults, DevStoreOptions } from "./dev-store.ts";
export { readCommitLog, readCommittedBody } from "./commit-log.ts";
export type { CommitEntry } from "./commit-log.ts";
export type { Allowance, StoreKey, StoreKeys } from "./store-keys.ts";
