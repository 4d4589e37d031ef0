export type { BucketPort, OpenUpload, VersionEntry, VersionPage, Versioning } from "./bucket.port.ts";
export { openBucket } from "./s3-bucket.ts";
export type { Inventory, InventoryEntry } from "./inventory-entry.ts";
export { takeInventory } from "./inventory.ts";
export { readInventory } from "./inventory-file.ts";
export { diffInventories } from "./inventory-difference.ts";
export type { InventoryChange, InventoryDifference } from "./inventory-difference.ts";
export { renderDifference } from "./inventory-text.ts";
export { openProbeDoor } from "./probe/open-door.ts";
