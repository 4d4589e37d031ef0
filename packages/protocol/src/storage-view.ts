import * as v from "valibot";
import { servedKeySchema } from "./agent-api.ts";
import { nameSchema, placementIdSchema } from "./ids.ts";
import { secretReferenceSchema, storageManifestSchema } from "./manifest.ts";
import { integer, moment, number, strictObject } from "./schema.ts";

/** Why there is no verdict, as a problem would tell it. */
const failureSchema = strictObject({ code: v.string(), detail: v.string() });

const probeTestSchema = strictObject({
  name: v.string(),
  passed: v.boolean(),
  /** False: a failure is a deviation that is told, no more. */
  required: v.boolean(),
  /** What was seen, in words. */
  detail: v.string(),
});

/** What one probe saw, with every data key that placements may be given. */
const probeVerdictSchema = strictObject({
  endpoints: v.array(v.string()),
  /** As the store calls itself; null where it does not. */
  server: v.nullable(v.string()),
  clockSkewMs: v.nullable(number),
  ifMatch: v.picklist(["quoted", "bare"]),
  tests: v.array(probeTestSchema),
});
export type ProbeVerdict = v.InferOutput<typeof probeVerdictSchema>;

/** A probe as it is on record: `error` where it came to no verdict. */
export const probeRecordSchema = strictObject({
  testedAt: moment,
  /** Also what takes seconds. */
  thorough: v.boolean(),
  verdict: v.nullable(probeVerdictSchema),
  error: v.nullable(failureSchema),
});
export type ProbeRecord = v.InferOutput<typeof probeRecordSchema>;

/** How long the store waits for the rest of a body. */
export const inFlightRecordSchema = strictObject({
  testedAt: moment,
  /** The longest of all endpoints; null: one still waited when the time was up, or it could not be measured there. */
  ms: v.nullable(number),
  endpoints: v.array(strictObject({ endpoint: v.string(), ms: v.nullable(number), ended: v.string() })),
  error: v.nullable(failureSchema),
});
export type InFlightRecord = v.InferOutput<typeof inFlightRecordSchema>;

/** A storage as people see it. Secrets are references in the manifest already. */
export const storageViewSchema = strictObject({
  manifest: storageManifestSchema,
  /** By the newest probe of this manifest; `unknown` before the first. */
  fitness: v.picklist(["fit", "unfit", "unknown"]),
  /** Why it is not fit. */
  reason: v.nullable(v.string()),
  probe: v.nullable(probeRecordSchema),
  inFlight: v.nullable(inFlightRecordSchema),
  /** Applications that name it, or have a placement on it. */
  applications: v.array(strictObject({ name: nameSchema, placements: integer })),
});
export type StorageView = v.InferOutput<typeof storageViewSchema>;

export const probeRequestSchema = strictObject({
  thorough: v.optional(v.boolean(), false),
  inFlight: v.optional(v.boolean(), false),
});
export type ProbeRequest = v.InferInput<typeof probeRequestSchema>;

/** `old`: a file of the orchestrator's machine with the pair that must be refused by now. */
export const rotationRequestSchema = strictObject({ old: v.optional(secretReferenceSchema) });
export type RotationRequest = v.InferInput<typeof rotationRequestSchema>;

/** `save`: a file of the orchestrator's machine that takes the entries as well; it must not be there yet. */
export const inventoryRequestSchema = strictObject({
  save: v.optional(v.pipe(v.string(), v.regex(/^\/[^\0\r\n]+$/, "must be an absolute path"))),
});
export type InventoryRequest = v.InferInput<typeof inventoryRequestSchema>;

const handedOverSchema = strictObject({
  application: nameSchema,
  placement: placementIdSchema,
  cluster: nameSchema,
  /** As its agent took it; null where it did not. */
  taken: v.nullable(servedKeySchema),
  /** Why not. */
  error: v.nullable(failureSchema),
});
export type HandedOver = v.InferOutput<typeof handedOverSchema>;

/** What was proven of new keys, and from when they count. */
export const rotationSchema = strictObject({
  storage: nameSchema,
  endpoints: v.array(v.string()),
  keys: v.array(
    strictObject({
      role: v.picklist(["control", "data"]),
      /** Whose data key, where a cluster has one of its own. */
      cluster: v.nullable(nameSchema),
      file: v.string(),
      /**
       * `placement`: the fence makes a key for every placement, so this one is given to none. `handed-over`: also under a running application, as `placements`
       * tells.
       */
      counts: v.picklist(["at-once", "next-start", "handed-over", "placement"]),
    }),
  ),
  /** Applications that go on with the data key that they were started with. */
  runningOn: v.array(nameSchema),
  /** What became of the data key that each running placement is served by its agent; of no others. */
  placements: v.array(handedOverSchema),
  /** How often in a row each endpoint refused the old pair; null where none was given. */
  oldRefused: v.nullable(v.array(strictObject({ endpoint: v.string(), denials: integer }))),
});
export type Rotation = v.InferOutput<typeof rotationSchema>;
