export { readAgent } from "./end-placements.ts";
export { application, bucket, clusters, ledgerProgram, openHarbour, prefix, settleMs } from "./harbour.ts";
export type { ClusterName, Harbour, HarbourOptions, KeptPart } from "./harbour.ts";
export { runDemo } from "./run-demo.ts";
export type { Audience, Move } from "./run-demo.ts";
export { runOperation } from "./run-operation.ts";
export type { Verdict } from "./verdict.ts";
