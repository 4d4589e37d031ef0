import type { AccessKey, AgentConfig } from "@baton/protocol";
import { type ObjectStore, openObjectStore } from "@baton/storage";
import { readControlKey } from "./config.ts";

/** The store that holds the lease, opened with the key for the control prefix, whose file is read again for every request. @throws AppError `secret-unavailable` */
export async function openStore(storage: NonNullable<AgentConfig["storage"]>): Promise<ObjectStore> {
  const accessKey = (): Promise<AccessKey> => readControlKey(storage);
  await accessKey();
  return openObjectStore({ ...storage, accessKey });
}
