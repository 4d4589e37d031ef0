import * as v from "valibot";
import { parseAs } from "./parse.ts";
import { randomBytes } from "./random-bytes.ts";
import { integer, strictObject } from "./schema.ts";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** Twenty characters of 5 bits: the first nine carry the time in ms, so that ids sort by age; the rest is random. Enough until 3084. */
function sortableToken(now: number): string {
  let time = "";
  for (let rest = now, n = 0; n < 9; n += 1, rest = Math.floor(rest / 32))
    time = alphabet.charAt(rest % 32) + time;
  let random = "";
  for (const byte of randomBytes(11)) random += alphabet.charAt(byte % 32);
  return time + random;
}

/** `now` in epoch ms, as for the other ids: of two, the one made in a later millisecond sorts last. */
export const newOperationId = (now: number = Date.now()): string => `op-${sortableToken(now)}`;
export const newPlacementId = (now: number = Date.now()): string => `pl-${sortableToken(now)}`;
export const newDeploymentId = (now: number = Date.now()): string => `dp-${sortableToken(now)}`;
/** 128 random bits as hex: token ids, grants, the unique bytes of a lease write. */
export const newNonce = (): string => Buffer.from(randomBytes(16)).toString("hex");

/** Names that people give: DNS labels (RFC 1123), because they become parts of host and object names. */
export const nameSchema = v.pipe(
  v.string(),
  v.regex(
    /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/,
    "must be a DNS label: a lower-case letter, then up to 62 lower-case letters, digits or hyphens",
  ),
);
export const placementIdSchema = v.pipe(v.string(), v.regex(/^pl-[0-9a-z]{20}$/));
export const operationIdSchema = v.pipe(v.string(), v.regex(/^op-[0-9a-z]{20}$/));
export const deploymentIdSchema = v.pipe(v.string(), v.regex(/^dp-[0-9a-z]{20}$/));
/** Names one effect for good: operation, step, attempt (and run); the same key never does a thing twice. */
export const commandKeySchema = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,200}$/));
export const epochSchema = v.pipe(integer, v.minValue(0));

/** One start of the application: the `counter`-th by this life of the agent in this placement. */
export const runSchema = strictObject({
  placement: placementIdSchema,
  instance: v.pipe(v.string(), v.regex(/^[0-9a-z]{1,40}$/)),
  counter: v.pipe(integer, v.gtValue(0)),
});
export type Run = v.InferOutput<typeof runSchema>;

/** A run in words and keys; no two runs that `runSchema` accepts give the same text. */
export const formatRun = (run: Run): string => `${run.placement}.${run.instance}.${run.counter}`;

/** Whether both are the same start of the application; nothing is the same as nothing only. */
export const sameRun = (a: Run | null, b: Run | null): boolean =>
  a === null || b === null
    ? a === b
    : a.placement === b.placement && a.instance === b.instance && a.counter === b.counter;

/** No part may hold the dot that joins them, or two effects could share a key. The longest parts give 187 characters. */
const keyPartsSchema = strictObject({
  operation: operationIdSchema,
  step: v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,64}$/, "must be lower-case letters, digits and hyphens")),
  attempt: v.pipe(integer, v.minValue(0)),
  run: v.optional(runSchema),
});

/**
 * The key of a command's effect; `run` is named where the command is about one run only (a stop).
 * Different parts give different keys, each one that `commandKeySchema` accepts.
 *
 * @throws AppError `internal` for parts that could not keep this promise (a dot in the step, a malformed id)
 */
export function commandKey(parts: {
  readonly operation: string;
  readonly step: string;
  readonly attempt: number;
  readonly run?: Run | undefined;
}): string {
  const { operation, step, attempt, run } = parseAs(
    keyPartsSchema,
    parts,
    "the parts of a command key",
    "internal",
  );
  return [operation, step, attempt, ...(run === undefined ? [] : [formatRun(run)])].join(".");
}
