import { describe, expect, it } from "vitest";
import type { BucketPort, OpenUpload } from "./bucket.port.ts";
import { findOpenUploads } from "./open-uploads.ts";

const limit = { pageTimeoutMs: 1_000, deadlineMs: 1_000, prefix: "data/" };
const other = { key: "data/a", uploadId: "other" };

/** A store with one open upload, that lists as `list` says. */
function bucketOf(list: (open: readonly OpenUpload[]) => readonly OpenUpload[]) {
  const open = [other];
  const bucket: Pick<BucketPort, "createMultipart" | "listUploads" | "abortUpload"> = {
    createMultipart: ({ key }) => {
      open.push({ key, uploadId: "own" });
      return Promise.resolve({ key, uploadId: "own" });
    },
    listUploads: async () => Promise.resolve(list(open)),
    abortUpload: ({ uploadId }) => {
      open.splice(0, open.length, ...open.filter((each) => each.uploadId !== uploadId));
      return Promise.resolve();
    },
  };
  return { bucket, open };
}

describe("the open uploads", () => {
  it("are all when the one that was begun is among them", async () => {
    const { bucket, open } = bucketOf((all) => [...all]);
    expect(await findOpenUploads({ ...limit, bucket })).toEqual({ uploads: [other], complete: true });
    expect(open).toEqual([other]);
  });

  it("are not known where it is not", async () => {
    const { bucket, open } = bucketOf(() => []);
    expect(await findOpenUploads({ ...limit, bucket })).toEqual({ uploads: [], complete: false });
    expect(open).toEqual([other]);
  });

  it("leave nothing behind when they cannot be listed", async () => {
    const { bucket, open } = bucketOf(() => {
      throw new Error("cut");
    });
    await expect(findOpenUploads({ ...limit, bucket })).rejects.toThrow("cut");
    expect(open).toEqual([other]);
  });
});
