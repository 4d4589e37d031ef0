import { newNonce } from "@baton/protocol";
import type { BucketPort, ListingLimit, OpenUpload } from "./bucket.port.ts";

export interface OpenUploads {
  readonly uploads: readonly OpenUpload[];
  /** Whether the store was seen to list an upload below the prefix; if not, there may be any number more. */
  readonly complete: boolean;
}

/**
 * The open uploads below a prefix, and whether the store can be believed: MinIO gives an empty list for every prefix that is no key. So one is
 * begun first, at the scratch key `<prefix>.baton-upload-<random>`, which must be listed; it is aborted afterwards.
 *
 * @throws AppError what the calls of {@link BucketPort} throw.
 */
export async function findOpenUploads(
  params: ListingLimit & {
    readonly bucket: Pick<BucketPort, "createMultipart" | "listUploads" | "abortUpload">;
    readonly prefix: string;
  },
): Promise<OpenUploads> {
  const { bucket, ...listing } = params;
  const timeoutMs = listing.pageTimeoutMs;
  const own = await bucket.createMultipart({
    key: `${listing.prefix}.baton-upload-${newNonce()}`,
    timeoutMs,
  });
  try {
    const listed = await bucket.listUploads(listing);
    const uploads = listed.filter(({ uploadId }) => uploadId !== own.uploadId);
    return { uploads, complete: uploads.length < listed.length };
  } finally {
    await bucket.abortUpload({ ...own, timeoutMs });
  }
}
