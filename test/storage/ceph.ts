/** The Ceph of test/beds/s3, which all tests of a machine share: it stays up, and buckets are made and removed by whoever needs them. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  PutBucketVersioningCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { openBucket } from "@baton/storage/bucket";
import type { NeededPart } from "../reporter/needed-part.ts";

interface Location {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export type FoundCeph =
  | { readonly missing: null; readonly location: Location }
  | { readonly missing: string; readonly location: null };

/** Starts it, which takes some 15 s, or says why it cannot be had; never throws. */
export async function findCeph(): Promise<FoundCeph> {
  try {
    const script = join(import.meta.dirname, "../beds/s3");
    const { stdout } = await promisify(execFile)(script, ["up"], { timeout: 120_000 });
    const value = (name: string): string => new RegExp(`^export ${name}=(.*)$`, "m").exec(stdout)?.[1] ?? "";
    const accessKey = {
      accessKeyId: value("AWS_ACCESS_KEY_ID"),
      secretAccessKey: value("AWS_SECRET_ACCESS_KEY"),
    };
    const location = { endpoint: value("AWS_ENDPOINT_URL"), region: value("AWS_REGION"), accessKey };
    return { missing: null, location };
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trimEnd().split("\n").at(-1);
    return { missing: said ?? String(error), location: null };
  }
}

export const needsCeph = (found: FoundCeph): { readonly needs: NeededPart } => ({
  needs: { part: "ceph", reason: found.missing ?? "" },
});

export interface CephBuckets {
  /** Its name, of this test alone. */
  make(options?: { readonly versioned?: boolean }): Promise<string>;
  /** Every bucket made, with all that is in it. */
  remove(): Promise<void>;
}

export function openCephBuckets(location: Location): CephBuckets {
  const { endpoint, region, accessKey } = location;
  const s3 = new S3Client({ endpoint, region, credentials: accessKey, forcePathStyle: true });
  const made: string[] = [];
  return {
    make: async ({ versioned = false } = {}) => {
      const Bucket = `baton-test-${randomBytes(6).toString("hex")}`;
      await s3.send(new CreateBucketCommand({ Bucket }));
      made.push(Bucket);
      if (versioned) {
        const VersioningConfiguration = { Status: "Enabled" } as const;
        await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
      }
      return Bucket;
    },
    remove: async () => {
      for (const Bucket of made.splice(0)) {
        await removeContent(s3, location, Bucket);
        await s3.send(new DeleteBucketCommand({ Bucket }));
      }
      s3.destroy();
    },
  };
}

async function removeContent(s3: S3Client, location: Location, Bucket: string): Promise<void> {
  const bucket = openBucket({ ...location, bucket: Bucket });
  const limit = { prefix: "", pageTimeoutMs: 10_000, deadlineMs: 600_000 };
  for await (const { entries } of bucket.listVersions(limit)) {
    const removals = entries.map(({ key: Key, versionId }) =>
      s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId: versionId ?? "null" })),
    );
    await Promise.all(removals);
  }
  for (const upload of await bucket.listUploads(limit))
    await bucket.abortUpload({ ...upload, timeoutMs: 10_000 });
  bucket.close();
}
