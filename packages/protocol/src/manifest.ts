import * as z from "zod/mini";
import { deferred } from "./deferred.ts";
import { hookSchema, readinessSchema, verifySchema, workloadSchema } from "./hook.ts";
import { nameSchema } from "./ids.ts";

const absolutePath = z.string().check(z.regex(/^\/[^\0\r\n]+$/, "must be an absolute path"));

/** Where a secret is kept; the secret itself never enters a record. The file is JSON: { accessKeyId, secretAccessKey }. */
export const secretReferenceSchema = deferred(() => z.strictObject({ file: absolutePath }));
export type SecretReference = z.infer<typeof secretReferenceSchema>;

/** A place that runs placements. `process`: local processes below `directory`. */
export const clusterManifestSchema = deferred(() =>
  z.strictObject({
    kind: z.literal("cluster"),
    name: nameSchema,
    driver: z.literal("process"),
    directory: absolutePath,
  }),
);
export type ClusterManifest = z.infer<typeof clusterManifestSchema>;

/**
 * What belongs to an application in a bucket: "ledger/". Segments "." and ".." are refused because URLs resolve them: "x/../.baton/"
 * would reach the control prefix.
 */
export const prefixSchema = deferred(() =>
  z
    .string()
    .check(
      z.regex(
        /^(?!\.baton\/)((?!\.\.?\/)[A-Za-z0-9._-]+\/)+$/,
        'must be names of letters, digits, ".", "_" or "-", each followed by "/", not of "." or ".." alone, and not below ".baton/"',
      ),
    ),
);

/** Only where the store is: what a URL can carry besides would enter records and logs. */
const endpointSchema = deferred(() =>
  z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).check(
    z.refine((value) => {
      const { username = "", password = "", search = "", hash = "" } = URL.parse(value) ?? {};
      return username + password + search + hash === "";
    }, 'must not carry a user name, a password, a query or a fragment: keys belong into the files that "credentials" names'),
  ),
);

/** A binding to a part of a bucket. */
export const storageManifestSchema = deferred(() =>
  z.strictObject({
    kind: z.literal("storage"),
    name: nameSchema,
    endpoint: endpointSchema,
    region: z._default(z.string().check(z.minLength(1)), "us-east-1"),
    bucket: z.string().check(z.regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be a bucket name")),
    prefix: prefixSchema,
    credentials: z.strictObject({
      /** Baton's own key: may write below ".baton/". */
      control: secretReferenceSchema,
      /** The application's key: may write below `prefix` only. */
      data: secretReferenceSchema,
      /** Another application key on some clusters, by cluster name. */
      dataByCluster: z._default(z.record(nameSchema, secretReferenceSchema), {}),
    }),
    /** How long after its sender's death the store may still take a write. */
    settleMs: z._default(z.int().check(z.nonnegative(), z.maximum(600_000)), 2_000),
  }),
);
export type StorageManifest = z.infer<typeof storageManifestSchema>;

/** Mutable instructions; every deployment keeps the snapshot it was made from. */
export const applicationManifestSchema = deferred(() =>
  z.strictObject({
    kind: z.literal("application"),
    name: nameSchema,
    storage: nameSchema,
    workload: workloadSchema,
    hook: z.prefault(hookSchema, {}),
    readiness: readinessSchema,
    verify: z.optional(verifySchema),
  }),
);
export type ApplicationManifest = z.infer<typeof applicationManifestSchema>;

export type Manifest = ClusterManifest | StorageManifest | ApplicationManifest;

export const manifestSchemas = {
  cluster: clusterManifestSchema,
  storage: storageManifestSchema,
  application: applicationManifestSchema,
} as const;

/** What an application's placement is told of its storage, without secrets. */
export const storageLocationSchema = deferred(() =>
  z.strictObject({
    endpoint: z.string(),
    region: z.string(),
    bucket: z.string(),
    prefix: z.string(),
  }),
);

/** What a secret reference to a key pair of a store contains. */
export const accessKeySchema = deferred(() =>
  z.strictObject({
    accessKeyId: z.string().check(z.minLength(1)),
    secretAccessKey: z.string().check(z.minLength(1)),
  }),
);
export type AccessKey = z.infer<typeof accessKeySchema>;
