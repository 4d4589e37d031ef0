export type { Inventory } from "./inventory-entry.ts";
export { inventorySchema } from "./inventory-entry.ts";
export { readInventory } from "./inventory-file.ts";
export { diffInventories } from "./inventory-difference.ts";
export type { InventoryChange, InventoryDifference } from "./inventory-difference.ts";
export { renderDifference } from "./inventory-text.ts";
