import { DeleteBucketCommand, DeleteObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { openObjectStore } from "@baton/storage";
import { openBucket } from "@baton/storage/bucket";
import type { BucketSetup } from "@baton/storage/bucket-testsuite";
import type { StoreBed } from "./store-bed.ts";

/** Two fresh buckets of a real store, one of them with versioning, removed at the end. */
export async function openBucketConformance(bed: StoreBed): Promise<BucketSetup> {
  const { region, ifMatch, root } = bed;
  const [endpoint] = bed.endpoints;
  const plain = await bed.makeBucket();
  const versioned = await bed.makeBucket({ versioned: true });
  const at = { endpoint, region, accessKey: root, ifMatch };
  const opened: { close(): void }[] = [];
  const open = (bucket: string) => {
    const both = {
      bucket: openBucket({ ...at, bucket, pageSize: 3 }),
      store: openObjectStore({ ...at, bucket }),
    };
    opened.push(both.bucket, both.store);
    return both;
  };
  const wrongs = {
    bucket: { bucket: `${plain}-not` },
    key: { accessKey: { ...root, accessKeyId: "NOBODY" } },
    secret: { accessKey: { ...root, secretAccessKey: "wrong" } },
    port: { endpoint: "http://127.0.0.1:1" },
  } as const;
  return {
    ...open(plain),
    versioned: open(versioned),
    open: (wrong) => openBucket({ ...at, bucket: plain, ...wrongs[wrong] }),
    teardown: async () => {
      for (const each of opened) each.close();
      for (const bucket of [plain, versioned]) await removeBucket({ ...at, bucket });
    },
  };
}

/** With all that is in it. */
async function removeBucket(at: Parameters<typeof openBucket>[0]): Promise<void> {
  const { endpoint, region, bucket: Bucket } = at;
  const { accessKeyId, secretAccessKey } = at.accessKey;
  const credentials = { accessKeyId, secretAccessKey };
  const s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  const bucket = openBucket(at);
  const limit = { prefix: "", pageTimeoutMs: 30_000, deadlineMs: 600_000 };
  for await (const { entries } of bucket.listVersions(limit)) {
    const removals = entries.map(({ key: Key, versionId }) =>
      s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId: versionId ?? "null" })),
    );
    await Promise.all(removals);
  }
  for (const upload of await bucket.listUploads(limit))
    await bucket.abortUpload({ ...upload, timeoutMs: 30_000 });
  await s3.send(new DeleteBucketCommand({ Bucket }));
  bucket.close();
  s3.destroy();
}
