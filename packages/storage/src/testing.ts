export { createMemoryBucket } from "./memory-bucket.ts";
export type { MemoryBucket, MemoryFault, MemoryRequest } from "./memory-bucket.ts";
export { createTestClock } from "./test-clock.ts";
