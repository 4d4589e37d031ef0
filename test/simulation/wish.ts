import type { StopPolicy } from "@baton/protocol";

/** What is asked of the orchestrators, one after the other, as far as the application is where it can be done. */
export interface Wish {
  readonly kind: "deploy" | "migrate" | "stop" | "start" | "delete";
  readonly isCold: boolean;
  readonly stop: StopPolicy;
}
