/** Facts about a Linux process tree, read from /proc. What cannot be known throws or is listed. */
export type { Cookie, UnreadableReason } from "./environment.ts";
export type { FoundBy } from "./kinship.ts";
export { identify, isAlive, readBootId } from "./process-identity.ts";
export type { ProcessIdentity } from "./process-identity.ts";
export { readStat } from "./process-stat.ts";
export type { ProcessStat } from "./process-stat.ts";
export { hasNoNewPrivileges } from "./process-status.ts";
export type { ProcessFact, ScanTreeOptions, TreeScan, UnreadableProcess } from "./scan-facts.ts";
export { scanTree } from "./scan-tree.ts";
export { signalProcess, signalTree } from "./signal-process.ts";
export { waitUntilGone } from "./wait-until-gone.ts";
export type { GoneResult, WaitUntilGoneOptions } from "./wait-until-gone.ts";
