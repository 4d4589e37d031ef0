export { application, bucket, openHarbour, prefix } from "./harbour.ts";
export type { Harbour, HarbourOptions } from "./harbour.ts";
export { runDemo } from "./run-demo.ts";
export type { Audience } from "./run-demo.ts";
export type { Verdict } from "./verdict.ts";
