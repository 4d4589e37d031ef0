/**
 * Real S3 servers for a test file, each with two endpoints of the same data:
 *
 *   describe("…", { skip: ceph.missing !== null, meta: ceph.meta }, () => {
 *     let bed: StoreBed;
 *     beforeAll(async () => { bed = await ceph.open(); }, bedMs);
 *     afterAll(() => bed.close(), bedMs);
 */
import { execFile, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import type { AccessKey } from "@baton/protocol";
import type { IfMatchForm } from "@baton/storage";
import {
  type Identities,
  createCephIdentities,
  createMinioIdentities,
  openBucketPolicy,
} from "@baton/storage/fence";
import type { NeededPart } from "../reporter/needed-part.ts";
import { signedRequest } from "./signed-request.ts";

export const bedMs = 180_000;
const beds = join(import.meta.dirname, "../beds");

export interface StoreBed {
  readonly name: string;
  readonly endpoints: readonly [string, string];
  readonly region: string;
  readonly ifMatch: IfMatchForm;
  readonly root: AccessKey;
  /** Longer than the store was seen to wait for the rest of a body. */
  readonly settleMs: number;
  /** Empty, with a random name. */
  makeBucket(params?: { readonly versioned?: boolean }): Promise<string>;
  /** A session that may write and remove below the prefix only, and read and list the whole bucket. */
  narrow(bucket: string, prefix: string): Promise<AccessKey>;
  /** By the first endpoint's administration. */
  openIdentities(bound: Bound): Identities;
  /** Stops the server, unless it was up before. */
  close(): Promise<void>;
}

interface Bound {
  readonly bucket: string;
  readonly prefix: string;
}

export interface FoundStore {
  readonly missing: string | null;
  readonly meta: { readonly needs: NeededPart };
  open(): Promise<StoreBed>;
}

interface Kind {
  readonly name: string;
  readonly script: string;
  readonly ifMatch: IfMatchForm;
  /** Which role a session is of; MinIO asks for none. */
  readonly role: string | null;
  /** The ports of the bed, by which a second endpoint is asked for. */
  readonly secondPort: readonly [variable: string, value: string];
  readonly settleMs: number;
  readonly openIdentities: (binding: Binding) => Identities;
}

interface Binding extends Bound {
  readonly endpoint: string;
  readonly region: string;
  readonly admin: () => Promise<AccessKey>;
}

export const ceph = findStore({
  name: "Ceph",
  script: "s3",
  ifMatch: "bare",
  role: "arn:aws:iam:::role/testbed",
  secondPort: ["TESTBED_S3_PORT2", "19003"],
  settleMs: 70_000,
  openIdentities: (binding) =>
    createCephIdentities({ ...binding, policy: openBucketPolicy({ ...binding, accessKey: binding.admin }) }),
});

export const minio = findStore({
  name: "MinIO",
  script: "minio",
  ifMatch: "quoted",
  role: null,
  secondPort: ["TESTBED_MINIO_PORT2", "19011"],
  settleMs: 70_000,
  openIdentities: (binding) =>
    createMinioIdentities({
      ...binding,
      secretOf: (identity) => createHash("sha256").update(`test ${identity}`).digest("hex"),
    }),
});

function findStore(kind: Kind): FoundStore {
  const check = spawnSync(join(beds, kind.script), ["check"], { encoding: "utf8", timeout: 20_000 });
  const missing = check.status === 0 ? null : (check.stderr || String(check.error)).trim();
  const needs = { part: kind.name, reason: missing ?? "it is there" };
  return { missing, meta: { needs }, open: () => open(kind) };
}

async function open(kind: Kind): Promise<StoreBed> {
  const [variable, value] = kind.secondPort;
  const env = { [variable]: value, ...process.env };
  const run = async (...args: readonly string[]): Promise<string> =>
    (await promisify(execFile)(join(beds, kind.script), args, { env, timeout: bedMs })).stdout;
  const wasUp = !(await run("status")).includes("not up");
  const settings = new Map(
    (await run("up")).split("\n").flatMap((line) => {
      const [, name, setting] = /^export (\w+)=(.*)$/.exec(line) ?? [];
      return name === undefined || setting === undefined ? [] : [[name, setting] as const];
    }),
  );
  const setting = (name: string): string => {
    const found = settings.get(name);
    if (found === undefined) throw new Error(`${kind.script} up printed no ${name}`);
    return found;
  };
  const endpoint = setting("AWS_ENDPOINT_URL");
  const root = {
    accessKeyId: setting("AWS_ACCESS_KEY_ID"),
    secretAccessKey: setting("AWS_SECRET_ACCESS_KEY"),
  };

  return {
    name: kind.name,
    endpoints: [endpoint, setting("TESTBED_ENDPOINT2")],
    region: setting("AWS_REGION"),
    ifMatch: kind.ifMatch,
    root,
    settleMs: kind.settleMs,
    openIdentities: (bound) =>
      kind.openIdentities({ ...bound, endpoint, region: setting("AWS_REGION"), admin: async () => root }),
    async makeBucket({ versioned = false } = {}) {
      const bucket = `t-${randomBytes(8).toString("hex")}`;
      const put = { endpoint, accessKey: root, method: "PUT" } as const;
      await signedRequest({ ...put, path: `/${bucket}` });
      const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
      if (versioned) await signedRequest({ ...put, path: `/${bucket}?versioning`, body: enabled });
      return bucket;
    },
    narrow: (bucket, prefix) =>
      assumeRole({ endpoint, root, role: kind.role, policy: policyOf(bucket, prefix) }),
    close: async () => {
      if (!wasUp) await run("down");
    },
  };
}

const policyOf = (bucket: string, prefix: string) => ({
  Version: "2012-10-17",
  Statement: [
    {
      Effect: "Allow",
      Action: ["s3:PutObject", "s3:DeleteObject"],
      Resource: [`arn:aws:s3:::${bucket}/${prefix}*`],
    },
    {
      Effect: "Allow",
      Action: ["s3:GetObject", "s3:ListBucket"],
      Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
    },
  ],
});

async function assumeRole(params: {
  readonly endpoint: string;
  readonly root: AccessKey;
  readonly role: string | null;
  readonly policy: object;
}): Promise<AccessKey> {
  const { endpoint, root, role, policy } = params;
  const answer = await signedRequest({
    endpoint,
    accessKey: root,
    method: "POST",
    path: "/",
    service: "sts",
    contentType: "application/x-www-form-urlencoded",
    body: new URLSearchParams({
      Action: "AssumeRole",
      Version: "2011-06-15",
      DurationSeconds: "3600",
      Policy: JSON.stringify(policy),
      ...(role !== null && { RoleArn: role, RoleSessionName: "test" }),
    }).toString(),
  });
  const field = (name: string): string => {
    const value = new RegExp(`<${name}>([^<]+)</${name}>`).exec(answer)?.[1];
    if (value === undefined) throw new Error(`the session has no ${name}`);
    return value;
  };
  return {
    accessKeyId: field("AccessKeyId"),
    secretAccessKey: field("SecretAccessKey"),
    sessionToken: field("SessionToken"),
  };
}
