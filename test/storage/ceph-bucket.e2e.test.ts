import { openObjectStore } from "@baton/storage";
import { openBucket } from "@baton/storage/bucket";
import { testBucket } from "@baton/storage/bucket-testsuite";
import { describe } from "vitest";
import { findCeph, needsCeph, openCephBuckets } from "./ceph.ts";

const found = await findCeph();

// Release 16.2, as test/beds/README.md has it: it looks at no condition of a removal or of an upload's completion.
const capabilities = {
  versioning: "never",
  versions: true,
  multipart: true,
  conditionalComplete: false,
  conditionalRemove: false,
  presign: true,
} as const;

describe("a real store", { skip: found.missing !== null, meta: needsCeph(found) }, () => {
  testBucket("Ceph's gateway", capabilities, async () => {
    if (found.location === null) throw new Error(found.missing);
    const { location } = found;
    const { accessKey } = location;
    const buckets = openCephBuckets(location);
    const [plain, versioned] = [await buckets.make(), await buckets.make({ versioned: true })];
    const opened: { close(): void }[] = [];
    const open = (bucket: string) => {
      const params = { ...location, bucket, ifMatch: "bare" } as const;
      const both = { bucket: openBucket({ ...params, pageSize: 3 }), store: openObjectStore(params) };
      opened.push(both.bucket, both.store);
      return both;
    };
    const wrongs = {
      bucket: { bucket: `${plain}-not` },
      key: { accessKey: { ...accessKey, accessKeyId: "NOBODY" } },
      secret: { accessKey: { ...accessKey, secretAccessKey: "wrong" } },
      port: { endpoint: "http://127.0.0.1:1" },
    } as const;
    return {
      ...open(plain),
      versioned: open(versioned),
      open: (wrong) => openBucket({ ...location, bucket: plain, ...wrongs[wrong] }),
      teardown: async () => {
        for (const each of opened) each.close();
        await buckets.remove();
      },
    };
  });
});
