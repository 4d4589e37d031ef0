import * as v from "valibot";
import { strictObject } from "./schema.ts";

/** What a preflight check found. `blocking`: the operation does not begin. */
export const findingSchema = strictObject({
  /** Of the check; stays the same from version to version. */
  id: v.string(),
  severity: v.picklist(["blocking", "warning", "info"]),
  /** What was seen. */
  detail: v.string(),
  /** What that means for the operation. */
  means: v.string(),
  fix: v.string(),
});
export type Finding = v.InferOutput<typeof findingSchema>;
