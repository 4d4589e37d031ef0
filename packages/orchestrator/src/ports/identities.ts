import type { AccessKey, PrivateKey, StorageManifest } from "@baton/protocol";
import {
  type Identities,
  createAwsIdentities,
  createCephIdentities,
  createMinioIdentities,
  openBucketPolicy,
} from "@baton/storage/fence";
import { deriveSecret } from "./derive-secret.ts";
import { readAccessKey } from "./secrets.ts";
import { placeOn } from "./storages.ts";

/**
 * Where the keys of a storage's placements are made and taken away; null for a storage without a fence. The bucket's policy is changed with Baton's own key.
 *
 * @param signingKey what secrets that have to be chosen here are derived from: so the same identity has the same one, and none is kept.
 */
export function openIdentities(storage: StorageManifest, signingKey: PrivateKey): Identities | null {
  const { fence, prefix } = storage;
  if (fence === undefined) return null;
  const place = placeOn(storage, null);
  const { bucket, region, ca } = place;
  const admin = (): Promise<AccessKey> => readAccessKey(fence.admin);
  const accessKey = (): Promise<AccessKey> => readAccessKey(storage.credentials.control);
  const common = { bucket, prefix, region, ca, admin };
  const endpoint = fence.endpoint ?? place.endpoint;
  switch (fence.provider) {
    case "ceph":
      return createCephIdentities({ ...common, endpoint, policy: openBucketPolicy({ ...place, accessKey }) });
    case "minio":
      return createMinioIdentities({
        ...common,
        endpoint,
        secretOf: (identity) => deriveSecret(signingKey, `baton placement key ${identity}`),
      });
    case "aws": {
      const { role, sessionSeconds } = fence;
      const policy = openBucketPolicy({ ...place, accessKey });
      return createAwsIdentities({ ...common, endpoint, role, sessionSeconds, policy });
    }
  }
}
