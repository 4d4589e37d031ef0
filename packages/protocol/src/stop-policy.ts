import * as v from "valibot";
import { integer, strictObject } from "./schema.ts";

/**
 * What to do when the source does not stop as its hook says. `give-up`: withdraw the stop and see the source serve on. `force`: SIGKILL may follow
 * the last signal. `halt`: a person decides. `failover`: when it cannot be known what became of it, fence it and go on without its receipt.
 */
export const stopStrategySchema = v.picklist(["give-up", "force", "halt", "failover"]);
export type StopStrategy = v.InferOutput<typeof stopStrategySchema>;

/** How often an application is asked to stop, and what follows when it does not. */
export const stopPolicySchema = strictObject({
  strategy: v.optional(stopStrategySchema, "give-up"),
  /** How often it is asked, each time with the hook's full time. */
  attempts: v.optional(v.pipe(integer, v.minValue(1), v.maxValue(10)), 1),
  /** Between two attempts, in ms. */
  pauseMs: v.optional(v.pipe(integer, v.minValue(0), v.maxValue(600_000)), 5_000),
});
export type StopPolicy = v.InferOutput<typeof stopPolicySchema>;

/** Of an application that says nothing. */
export const usualStopPolicy: StopPolicy = { strategy: "give-up", attempts: 1, pauseMs: 5_000 };
