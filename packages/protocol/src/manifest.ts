import * as v from "valibot";
import { containerSchema } from "./container.ts";
import { hookSchema, readinessSchema, verifySchema, workloadSchema } from "./hook.ts";
import { nameSchema } from "./ids.ts";
import { kubernetesSchema } from "./kubernetes.ts";
import { integer, record, strictObject, variant, withoutBreaks } from "./schema.ts";
import { stopPolicySchema } from "./stop-policy.ts";
import { trafficSchema } from "./traffic.ts";

const absolutePath = v.pipe(v.string(), v.regex(/^\/[^\0\r\n]+$/, "must be an absolute path"));

/** Where a secret is kept; the secret itself never enters a record. The file is JSON: { accessKeyId, secretAccessKey }. */
export const secretReferenceSchema = strictObject({ file: absolutePath });
export type SecretReference = v.InferOutput<typeof secretReferenceSchema>;

/** Of a container engine whose API is not a socket of this machine: TLS both ways, in PEM files. */
const engineTlsSchema = strictObject({ ca: absolutePath, certificate: absolutePath, key: absolutePath });

/** The API of whoever may use it is root's power over its machine: never without TLS over a network. */
const engineApiSchema = v.pipe(
  v.string(),
  v.regex(
    /^(?:unix:\/\/\/[^\0\r\n]{1,100}|https:\/\/(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)$/,
    'must be "unix:///PATH" or "https://HOST:PORT"',
  ),
  v.check((value) => value.startsWith("unix:") || URL.canParse(value), "must name a port that there is"),
);

/* @__NO_SIDE_EFFECTS__ */
const containerClusterOf = <const D extends "podman" | "docker">(driver: D) =>
  v.pipe(
    strictObject({
      kind: v.literal("cluster"),
      name: nameSchema,
      driver: v.literal(driver),
      api: engineApiSchema,
      tls: v.optional(engineTlsSchema),
      /** Where its published ports answer, for the orchestrator and for clients: a name or an IP address of the machine. */
      address: v.pipe(
        v.string(),
        v.regex(
          /^(?:[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,45})$/,
          "must be a name or an IP address",
        ),
      ),
      /** The agent as one file, on the orchestrator's machine: it is put into containers whose image has none. */
      agent: v.optional(absolutePath),
      /** Where images are pulled from with a password; the file is JSON: { username, password }. */
      registries: v.optional(
        v.array(
          strictObject({
            server: v.pipe(
              v.string(),
              v.regex(/^[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?$/, "must be HOST or HOST:PORT"),
            ),
            credentials: secretReferenceSchema,
          }),
        ),
        [],
      ),
    }),
    v.check(
      ({ api, tls }) => tls === undefined || api.startsWith("https:"),
      'must not say "tls" for a socket of this machine',
    ),
  );

/**
 * A place that runs placements. `process`: local processes below `directory`. `podman`, `docker`: containers, by the engine's API, which is the same for
 * both. `kubernetes`: pods in one namespace.
 */
export const clusterManifestSchema = variant("driver", [
  strictObject({
    kind: v.literal("cluster"),
    name: nameSchema,
    driver: v.literal("process"),
    directory: absolutePath,
  }),
  containerClusterOf("podman"),
  containerClusterOf("docker"),
  strictObject({
    kind: v.literal("cluster"),
    name: nameSchema,
    driver: v.literal("kubernetes"),
    /** On the orchestrator's machine; without it, the orchestrator's own service account. */
    kubeconfig: v.optional(absolutePath),
    /** Of the kubeconfig; without it, its current one. */
    context: v.optional(v.pipe(v.string(), v.minLength(1))),
    namespace: nameSchema,
    /** The agent as one file, on the orchestrator's machine: it is put into containers whose image has none. */
    agent: v.optional(absolutePath),
  }),
]);
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

const region = v.pipe(v.string(), v.minLength(1));
const certificates = v.pipe(
  v.string(),
  v.maxLength(262_144),
  v.includes("-----BEGIN CERTIFICATE-----", "must be certificates in PEM"),
);
const addressing = v.picklist(["path", "virtual-host"]);

/** How a bucket is reached from a cluster, where it is another way than from everywhere else. */
const storageOverrideSchema = v.pipe(
  strictObject({
    /** Another endpoint of the very same bucket. */
    endpoint: v.optional(endpointSchema),
    region: v.optional(region),
    addressing: v.optional(addressing),
    ca: v.optional(certificates),
    /**
     * Writes of other endpoints show here only later, and those of here elsewhere. Then the lease stays at the storage's endpoint, which the cluster must
     * reach as well, and nothing is started before this one shows what the last holder wrote.
     */
    replica: v.optional(v.literal("asynchronous")),
    /** So long it may take, while the application is down; then the operation is taken back. */
    replicaWaitMs: v.optional(v.pipe(integer, v.minValue(1), v.maxValue(3_600_000))),
  }),
  v.check(
    ({ endpoint, replica, replicaWaitMs }) =>
      replica === undefined ? replicaWaitMs === undefined : endpoint !== undefined,
    "must name the endpoint that is a replica, and a wait for a replica only",
  ),
);

/**
 * What takes a placement's key away for good. Without one, only a proven stop passes a storage on.
 *
 * `ceph`: a user for each placement, by the gateway's admin API. `minio`: a user for each placement, by MinIO's admin API. `aws`: a session of `role`
 * for each placement, denied by the bucket's policy.
 */
const fenceManifestSchema = variant("provider", [
  strictObject({
    provider: v.literal("ceph"),
    /** Where the admin API is, when it is not at the storage's endpoint. */
    endpoint: v.optional(endpointSchema),
    admin: secretReferenceSchema,
  }),
  strictObject({
    provider: v.literal("minio"),
    endpoint: v.optional(endpointSchema),
    admin: secretReferenceSchema,
  }),
  strictObject({
    provider: v.literal("aws"),
    /** Of STS: https://sts.eu-central-1.amazonaws.com */
    endpoint: endpointSchema,
    admin: secretReferenceSchema,
    /** The role whose sessions placements get. */
    role: v.pipe(v.string(), v.regex(/^arn:[a-z-]+:iam::\d{12}:role\/\S+$/, "must be the ARN of a role")),
    /** How long a session lasts, in seconds. */
    sessionSeconds: v.optional(v.pipe(integer, v.minValue(900), v.maxValue(43_200)), 43_200),
  }),
]);
export type FenceManifest = v.InferOutput<typeof fenceManifestSchema>;

const storageFields = strictObject({
  kind: v.literal("storage"),
  name: nameSchema,
  endpoint: endpointSchema,
  region: v.optional(region, "us-east-1"),
  bucket: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be a bucket name")),
  prefix: prefixSchema,
  addressing: v.optional(addressing),
  /** Certificates (PEM) to trust instead of the system's. */
  ca: v.optional(certificates),
  /** By cluster name. */
  clusters: v.optional(record(nameSchema, storageOverrideSchema)),
  /** More endpoints of the same bucket: whoever knows a key can use it there too, so they are probed and fenced like the others. */
  otherEndpoints: v.optional(v.pipe(v.array(endpointSchema), v.maxLength(16))),
  credentials: strictObject({
    /** Baton's own key: may write below ".baton/"; with a fence also list below `prefix`, begin and abort uploads there, and change the bucket's policy. */
    control: secretReferenceSchema,
    /** The application's key: may list, and write below `prefix` only. With a fence nobody but the probe uses it. */
    data: secretReferenceSchema,
    /** Another application key on some clusters, by cluster name. */
    dataByCluster: v.optional(record(nameSchema, secretReferenceSchema), {}),
    /**
     * How an application gets its key: in its environment (as if nothing was said), where it stays until the next start, or from an endpoint of its agent,
     * where AWS's SDKs come again for a newer one.
     */
    delivery: v.optional(v.picklist(["environment", "endpoint"])),
  }),
  fence: v.optional(fenceManifestSchema),
  /** How the store wants ETags in If-Match. Found by the probe when the storage is applied; a wrong one is refused. */
  ifMatch: v.optional(v.picklist(["quoted", "bare"])),
  /** How long after its sender's death the store may still take a write. */
  settleMs: v.optional(v.pipe(integer, v.minValue(0), v.maxValue(600_000)), 2_000),
});

/** A binding to a part of a bucket. */
export const storageManifestSchema = v.pipe(
  storageFields,
  v.check(({ endpoint, clusters = {}, otherEndpoints = [] }) => {
    const href = (url: string): string => URL.parse(url)?.href ?? url;
    const named = [endpoint, ...Object.values(clusters).flatMap((one) => one.endpoint ?? [])].map(href);
    // Named twice it would be tried in one of two ways only.
    const all = [...new Set(named), ...otherEndpoints.map(href)];
    return new Set(all).size === all.length;
  }, "must name each of its other endpoints once, and none that it names already"),
  v.check(({ endpoint, clusters = {} }) => {
    const href = (url: string): string => URL.parse(url)?.href ?? url;
    const all = Object.values(clusters);
    const synchronous = all.flatMap((one) => (one.replica === undefined ? (one.endpoint ?? []) : []));
    const fresh = new Set([endpoint, ...synchronous].map(href));
    return all.every((one) => one.replica === undefined || !fresh.has(href(one.endpoint ?? "")));
  }, "must not say of one endpoint that it is a replica and that it is none: the lease is never on a replica"),
);
export type StorageManifest = v.InferOutput<typeof storageManifestSchema>;

/**
 * A managed database. Each placement of an application gets a role of its own there in each epoch, which is shut out for good before another one writes; the
 * application's lease is in its storage's bucket all the same.
 */
export const databaseManifestSchema = strictObject({
  kind: v.literal("database"),
  name: nameSchema,
  engine: v.literal("postgres"),
  /** Of the server itself: the refusal of a pooler before it would not be the server's. */
  url: v.pipe(
    v.string(),
    v.regex(
      /^postgres(?:ql)?:\/\/(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::\d+)?\/[A-Za-z0-9_.$-]{1,63}$/,
      'must be "postgres://HOST:PORT/DATABASE" and nothing more: names and passwords belong into the file that "admin" names',
    ),
    v.check((value) => URL.canParse(value), "must name a port that there is"),
  ),
  /** A role that may not log in, which the placements' roles are members of and act as: what they make belongs to it. */
  group: v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_$-]{0,62}$/, "must be the name of a role")),
  /** Who may make roles: a file of JSON, { user, password }. */
  admin: secretReferenceSchema,
  /** Certificates (PEM) to trust; without them connections are not encrypted. */
  ca: v.optional(certificates),
});
export type DatabaseManifest = v.InferOutput<typeof databaseManifestSchema>;

/** Mutable instructions; every deployment keeps the snapshot it was made from. */
export const applicationManifestSchema = strictObject({
  kind: v.literal("application"),
  name: nameSchema,
  storage: nameSchema,
  /** `lease`: no data of it is there, so that it gets no key to the bucket. */
  storageUse: v.optional(v.picklist(["data", "lease"])),
  database: v.optional(nameSchema),
  workload: workloadSchema,
  /** Needed on clusters that run containers; the others pass over it. */
  container: v.optional(containerSchema),
  /** Its own objects there; clusters of Kubernetes make a pod of `container` where it has none, and the others pass over it. */
  kubernetes: v.optional(kubernetesSchema),
  hook: v.optional(hookSchema, {}),
  /** What operations do about a hook that fails. */
  stop: v.optional(stopPolicySchema),
  readiness: readinessSchema,
  verify: v.optional(verifySchema),
  /** Who is told where it is served. As it is declared now, whatever the deployment says. */
  traffic: v.optional(trafficSchema),
});
export type ApplicationManifest = v.InferOutput<typeof applicationManifestSchema>;

export type Manifest = ClusterManifest | StorageManifest | DatabaseManifest | ApplicationManifest;

export const manifestSchemas = {
  cluster: clusterManifestSchema,
  storage: storageManifestSchema,
  database: databaseManifestSchema,
  application: applicationManifestSchema,
} as const;

/** What an application's placement is told of its storage, without secrets. */
export const storageLocationSchema = strictObject({
  endpoint: v.string(),
  region: v.string(),
  bucket: v.string(),
  prefix: v.string(),
  addressing: v.optional(addressing),
  ifMatch: v.optional(v.picklist(["quoted", "bare"])),
  /** Certificates (PEM) to trust instead of the system's. */
  ca: v.optional(v.string()),
});

/** What a secret reference to a key pair of a store contains. */
export const accessKeySchema = strictObject({
  accessKeyId: v.pipe(v.string(), v.minLength(1)),
  secretAccessKey: v.pipe(v.string(), v.minLength(1)),
  /** Of a temporary key. */
  sessionToken: v.optional(v.pipe(v.string(), v.minLength(1))),
});
export type AccessKey = v.InferOutput<typeof accessKeySchema>;

/** What a secret reference to a database's administrator contains. */
export const databaseLoginSchema = strictObject({
  user: v.pipe(v.string(), v.minLength(1)),
  password: v.pipe(v.string(), v.minLength(1)),
});
export type DatabaseLogin = v.InferOutput<typeof databaseLoginSchema>;
