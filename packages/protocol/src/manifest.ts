import * as v from "valibot";
import { hookSchema, readinessSchema, verifySchema, workloadSchema } from "./hook.ts";
import { nameSchema } from "./ids.ts";
import { integer, record, strictObject, withoutBreaks } from "./schema.ts";

const absolutePath = v.pipe(v.string(), v.regex(/^\/[^\0\r\n]+$/, "must be an absolute path"));

/** Where a secret is kept; the secret itself never enters a record. The file is JSON: { accessKeyId, secretAccessKey }. */
export const secretReferenceSchema = strictObject({ file: absolutePath });
export type SecretReference = v.InferOutput<typeof secretReferenceSchema>;

/** A place that runs placements. `process`: local processes below `directory`. */
export const clusterManifestSchema = strictObject({
  kind: v.literal("cluster"),
  name: nameSchema,
  driver: v.literal("process"),
  directory: absolutePath,
});
export type ClusterManifest = v.InferOutput<typeof clusterManifestSchema>;

/**
 * What belongs to an application in a bucket: "ledger/". Segments "." and ".." are refused because URLs resolve them: "x/../.baton/"
 * would reach the control prefix.
 */
export const prefixSchema = v.pipe(
  v.string(),
  v.regex(
    /^(?!\.baton\/)((?!\.\.?\/)[A-Za-z0-9._-]+\/)+$/,
    'must be names of letters, digits, ".", "_" or "-", each followed by "/", not of "." or ".." alone, and not below ".baton/"',
  ),
);

/** Only where the store is: what a URL can carry besides would enter records and logs. */
const endpointSchema = v.pipe(
  v.string("must be an http or https URL"),
  v.trim(),
  // The URL parser would also take "http:host" and "http:/host".
  v.check((value) => /^https?:\/\//i.test(value) && URL.canParse(value), "must be an http or https URL"),
  v.check((value) => {
    const { username = "", password = "", search = "", hash = "" } = URL.parse(value) ?? {};
    return username + password + search + hash === "";
  }, 'must not carry a user name, a password, a query or a fragment: keys belong into the files that "credentials" names'),
  v.transform(withoutBreaks),
);

/** A binding to a part of a bucket. */
export const storageManifestSchema = strictObject({
  kind: v.literal("storage"),
  name: nameSchema,
  endpoint: endpointSchema,
  region: v.optional(v.pipe(v.string(), v.minLength(1)), "us-east-1"),
  bucket: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be a bucket name")),
  prefix: prefixSchema,
  credentials: strictObject({
    /** Baton's own key: may write below ".baton/". */
    control: secretReferenceSchema,
    /** The application's key: may write below `prefix` only. */
    data: secretReferenceSchema,
    /** Another application key on some clusters, by cluster name. */
    dataByCluster: v.optional(record(nameSchema, secretReferenceSchema), {}),
  }),
  /** How long after its sender's death the store may still take a write. */
  settleMs: v.optional(v.pipe(integer, v.minValue(0), v.maxValue(600_000)), 2_000),
});
export type StorageManifest = v.InferOutput<typeof storageManifestSchema>;

/** Mutable instructions; every deployment keeps the snapshot it was made from. */
export const applicationManifestSchema = strictObject({
  kind: v.literal("application"),
  name: nameSchema,
  storage: nameSchema,
  workload: workloadSchema,
  hook: v.optional(hookSchema, {}),
  readiness: readinessSchema,
  verify: v.optional(verifySchema),
});
export type ApplicationManifest = v.InferOutput<typeof applicationManifestSchema>;

export type Manifest = ClusterManifest | StorageManifest | ApplicationManifest;

export const manifestSchemas = {
  cluster: clusterManifestSchema,
  storage: storageManifestSchema,
  application: applicationManifestSchema,
} as const;

/** What an application's placement is told of its storage, without secrets. */
export const storageLocationSchema = strictObject({
  endpoint: v.string(),
  region: v.string(),
  bucket: v.string(),
  prefix: v.string(),
});

/** What a secret reference to a key pair of a store contains. */
export const accessKeySchema = strictObject({
  accessKeyId: v.pipe(v.string(), v.minLength(1)),
  secretAccessKey: v.pipe(v.string(), v.minLength(1)),
});
export type AccessKey = v.InferOutput<typeof accessKeySchema>;
