/** A second store that hears of the first one's writes only when it is told to, and the other way round: two sites that replicate asynchronously. */
import { join } from "node:path";
import { startDevStore } from "@baton/dev-store";
import type { AccessKey } from "@baton/protocol";
import { openObjectStore } from "@baton/storage";
import { openBucket } from "@baton/storage/bucket";

const timeoutMs = 10_000;

export interface LateReplica {
  readonly endpoint: string;
  /** Every key that it was ever written to or removed at. */
  keys(): readonly string[];
  /** Brings everything below the prefix from one to the other. */
  catchUp(direction: "to-replica" | "to-main"): Promise<void>;
  close(): Promise<void>;
}

export async function openLateReplica(params: {
  /** The endpoint of the first store. */
  readonly main: string;
  readonly directory: string;
  /** The first store's own. */
  readonly keysFile: string;
  readonly bucket: string;
  readonly prefix: string;
  /** May write below the prefix at both. */
  readonly accessKey: AccessKey;
}): Promise<LateReplica> {
  const { main, directory, keysFile, bucket, prefix, accessKey } = params;
  const store = await startDevStore({ directory: join(directory, "replica"), keysFile });
  const sites = [main, store.endpoint].map((endpoint) => {
    const place = { endpoint, region: "us-east-1", bucket, accessKey };
    return { objects: openObjectStore(place), listed: openBucket(place) };
  });
  const [first, second] = sites;
  if (first === undefined || second === undefined) throw new Error("there are two sites");
  const keysAt = async ({ listed }: typeof first): Promise<readonly string[]> => {
    const keys: string[] = [];
    const limits = { prefix, pageTimeoutMs: timeoutMs, deadlineMs: timeoutMs };
    for await (const { entries } of listed.listVersions(limits)) keys.push(...entries.map(({ key }) => key));
    return keys;
  };
  return {
    endpoint: store.endpoint,
    keys: () => store.log().map(({ key }) => key),
    async catchUp(direction) {
      const [from, to] = direction === "to-replica" ? [first, second] : [second, first];
      const wanted = await keysAt(from);
      for (const key of wanted) {
        const object = await from.objects.get({ key, timeoutMs });
        if (object !== null) await to.objects.put({ key, body: object.body, timeoutMs });
      }
      for (const key of await keysAt(to))
        if (!wanted.includes(key)) await to.objects.remove({ key, timeoutMs });
    },
    async close() {
      for (const { objects, listed } of sites) {
        objects.close();
        listed.close();
      }
      await store.close();
    },
  };
}
