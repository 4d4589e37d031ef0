import * as v from "valibot";
import { nameSchema } from "./ids.ts";
import { integer, moment, strictObject } from "./schema.ts";

/** Each may do what those before it may: look, operate, administer. */
export const roles = ["viewer", "operator", "admin"] as const;
export const roleSchema = v.picklist(roles);
export type Role = v.InferOutput<typeof roleSchema>;

/** Whether `role` may do what `needed` may. */
export const isAtLeast = (role: Role, needed: Role): boolean => roles.indexOf(role) >= roles.indexOf(needed);

/** One minute to ten years, in whole seconds. */
const lifeSchema = v.pipe(integer, v.minValue(60), v.maxValue(315_360_000));

/** Without `expiresInS` the token is good until it is revoked. */
export const tokenRequestSchema = strictObject({
  name: nameSchema,
  role: roleSchema,
  expiresInS: v.optional(lifeSchema),
});
export type TokenRequest = v.InferInput<typeof tokenRequestSchema>;

/** A token as people see it: whose it is and what it may, never itself. */
const tokenEntries = {
  name: nameSchema,
  role: roleSchema,
  /** The name of the token by which it was made; null, with the moment, for the one that the orchestrator generated. */
  createdBy: v.nullable(v.string()),
  createdAt: v.nullable(moment),
  expiresAt: v.nullable(moment),
  expired: v.boolean(),
};
export const tokenViewSchema = strictObject(tokenEntries);
export type TokenView = v.InferOutput<typeof tokenViewSchema>;

/** The answer to its making, and the only one that has the token itself. */
export const newTokenSchema = strictObject({ ...tokenEntries, token: v.string() });
export type NewToken = v.InferOutput<typeof newTokenSchema>;

/** Who asked for a change, and what came of it. */
export const auditEntrySchema = strictObject({
  /** Grows; `before` takes it. */
  id: integer,
  at: moment,
  /** The answer's `x-request-id`. */
  request: v.string(),
  /** The name of the token. */
  who: v.string(),
  role: roleSchema,
  /** "PUT /v1/clusters/:name". */
  what: v.string(),
  /** The name or id that it was about; null where the request named none that could be one. */
  subject: v.nullable(v.string()),
  /** Null: not known, since the orchestrator or its database ended first. */
  outcome: v.nullable(
    strictObject({
      status: integer,
      /** Of the error table; null where it went well. */
      code: v.nullable(v.string()),
      /** The name or id of what it made. */
      made: v.nullable(v.string()),
    }),
  ),
});
export type AuditEntry = v.InferOutput<typeof auditEntrySchema>;
