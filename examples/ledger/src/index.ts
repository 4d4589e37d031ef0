export type { DataWrite, Handover, LedgerCheck } from "./checker.ts";
export { checkLedger, findOverlaps } from "./checker.ts";
export type { Acknowledgement } from "./record-file.ts";
export { readRecordFile } from "./record-file.ts";
export type { Entry, Segment } from "./segment.ts";
export type { StoredLedger } from "./store-reader.ts";
export { readLedgerFromStore } from "./store-reader.ts";
export type { Writer } from "./writer.ts";
export { startWriter } from "./writer.ts";
