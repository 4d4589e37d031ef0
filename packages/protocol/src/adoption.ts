import * as v from "valibot";
import { epochSchema, nameSchema, operationIdSchema } from "./ids.ts";
import { secretReferenceSchema } from "./manifest.ts";
import { keyFenceSchema } from "./operation.ts";
import { moment, strictObject } from "./schema.ts";

/** `writers`: files of the orchestrator's machine with every pair by which the writer that is there reaches the storage. */
export const adoptionRequestSchema = strictObject({
  application: nameSchema,
  writers: v.pipe(v.array(secretReferenceSchema), v.minLength(1), v.maxLength(16)),
  reason: v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(1_000)),
});
export type AdoptionRequest = v.InferOutput<typeof adoptionRequestSchema>;

/** How another owner's lease became ours. */
export const adoptionSchema = strictObject({
  id: operationIdSchema,
  storage: nameSchema,
  application: nameSchema,
  /** Whose lease it was. */
  from: v.string(),
  /** Of the lease since; it is fenced, and a deploy takes it on. */
  epoch: epochSchema,
  /** One for each key of the writer that was there. */
  fences: v.array(keyFenceSchema),
  by: v.string(),
  reason: v.string(),
  adoptedAt: moment,
});
export type Adoption = v.InferOutput<typeof adoptionSchema>;
