export { createCephIdentities } from "./ceph-identities.ts";
export { createMinioIdentities } from "./minio-identities.ts";
export { openBucketPolicy } from "./s3-bucket-policy.ts";
export { identityOf } from "./application-policy.ts";
export { assertDoorsOpen, fenceCredentials } from "./fence-credentials.ts";
export type { Door } from "./fence-credentials.ts";
export type { Identities } from "./identities.port.ts";
export { createAwsIdentities } from "./aws-identities.ts";
