import * as v from "valibot";
import { integer, moment, number, strictObject } from "./schema.ts";

/** That an asynchronous replica had caught up before an application was started at it, or left it. */
export const replicaRecordSchema = strictObject({
  /** The endpoint that the last holder wrote to. */
  written: v.string(),
  /** The one that was waited for. */
  replica: v.string(),
  /** Of both, when they were equal. */
  inventory: strictObject({ objects: integer, bytes: integer, digest: v.string() }),
  /** How often both were listed. */
  looks: integer,
  waitedMs: number,
  equalAt: moment,
});
export type ReplicaRecord = v.InferOutput<typeof replicaRecordSchema>;
