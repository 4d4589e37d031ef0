import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDevStore } from "@baton/dev-store";
import { openObjectStore } from "@baton/storage";
import { openBucket } from "@baton/storage/bucket";
import { testBucket } from "@baton/storage/bucket-testsuite";

const accessKey = { accessKeyId: "CONTROLKEY", secretAccessKey: "control-secret-0123456789" };

// It answers 501 to what it does not do, and knows no versions.
const capabilities = {
  versioning: "unknown",
  versions: false,
  nestedKeys: true,
  multipart: false,
  uploadsByPrefix: false,
  conditionalComplete: false,
  conditionalRemove: true,
  presign: false,
} as const;

testBucket("the development endpoint", capabilities, async () => {
  const bucket = "harbor";
  const directory = await mkdtemp(join(tmpdir(), "baton-bucket-"));
  const keys = {
    buckets: [bucket],
    keys: [{ ...accessKey, allow: [{ bucket, prefix: "", write: true }] }],
  };
  const server = await startDevStore({ directory, keys, port: 0 });
  const location = { endpoint: server.endpoint, region: "us-east-1", bucket, accessKey };
  const opened = { bucket: openBucket({ ...location, pageSize: 3 }), store: openObjectStore(location) };
  const wrongs = {
    bucket: { bucket: "nowhere" },
    key: { accessKey: { ...accessKey, accessKeyId: "NOBODY" } },
    secret: { accessKey: { ...accessKey, secretAccessKey: "wrong" } },
    port: { endpoint: "http://127.0.0.1:1" },
  } as const;
  return {
    ...opened,
    open: (wrong) => openBucket({ ...location, ...wrongs[wrong] }),
    teardown: async () => {
      opened.bucket.close();
      opened.store.close();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});
