export type { BucketPort, OpenUpload, VersionEntry, VersionPage, Versioning } from "./bucket.port.ts";
export { openBucket } from "./s3-bucket.ts";
