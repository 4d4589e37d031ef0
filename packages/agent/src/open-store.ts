import type { AgentConfig } from "@baton/protocol";
import { type ObjectStore, openObjectStore } from "@baton/storage";
import { readControlKey } from "./config.ts";

/** The store that holds the lease, opened with the key for the control prefix. @throws AppError `secret-unavailable` */
export async function openStore(storage: NonNullable<AgentConfig["storage"]>): Promise<ObjectStore> {
  const { endpoint, region, bucket } = storage;
  return openObjectStore({ endpoint, region, bucket, accessKey: await readControlKey(storage) });
}
