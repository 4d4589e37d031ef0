export type { BucketPort, OpenUpload, VersionEntry, VersionPage, Versioning } from "./bucket.port.ts";
export { openBucket } from "./s3-bucket.ts";
export { takeInventory } from "./inventory.ts";
export { waitForEqualInventory } from "./equal-inventory.ts";
export { openProbeDoor } from "./probe/open-door.ts";
export { findOpenUploads } from "./open-uploads.ts";
export type { OpenUploads } from "./open-uploads.ts";
export { listsNestedKeys } from "./nested-keys.ts";
export { measureInFlight } from "./probe/in-flight.ts";
