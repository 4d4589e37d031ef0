import { createHash } from "node:crypto";
import { type MemoryBucket, createMemoryBucket } from "../memory-bucket.ts";
import type { ObjectStore, StoredObject } from "../object-store.port.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

/** Made anew for every simulation; `bucket` has what was really written. */
export type StoreVariant = (params: { readonly scheduler: Scheduler; readonly random: Random }) => {
  readonly bucket: MemoryBucket;
  readonly store: ObjectStore;
};

export const honest: StoreVariant = () => {
  const bucket = createMemoryBucket();
  return { bucket, store: bucket.open() };
};

type Put = Parameters<ObjectStore["put"]>[0];
const md5 = ({ body }: Put): string => `"${createHash("md5").update(body).digest("hex")}"`;

/** Takes every write, as stores do that do not know conditions. */
export const ignoresConditions: StoreVariant = () => {
  const bucket = createMemoryBucket({ ignoreConditions: true });
  return { bucket, store: bucket.open() };
};

/** Says now and then that it took a write, and did not. */
export const losesWrites: StoreVariant = ({ random }) => {
  const bucket = createMemoryBucket();
  const store = bucket.open();
  const put = (request: Put): ReturnType<ObjectStore["put"]> => {
    const { condition, key } = request;
    const holds = condition?.kind === "match" && bucket.objects.get(key)?.etag === condition.etag;
    return holds && random.chance(0.02)
      ? Promise.resolve({ kind: "stored", etag: md5(request) })
      : store.put(request);
  };
  return { bucket, store: { ...store, put } };
};

/** Reads come from a replica that is a few writes behind. */
export const readsStale: StoreVariant = ({ random }) => {
  const bucket = createMemoryBucket();
  const store = bucket.open();
  const versions: StoredObject[] = [];
  return {
    bucket,
    store: {
      ...store,
      async put(request) {
        const result = await store.put(request);
        const now = bucket.objects.get(request.key);
        if (result.kind === "stored" && now !== undefined) versions.push(now);
        return result;
      },
      async get(request) {
        const now = await store.get(request);
        return random.chance(0.2) ? (versions.at(-1 - random.between(1, 4)) ?? now) : now;
      },
    },
  };
};

/** Looks and then writes, without holding on to what it saw: of two that come at nearly the same time both are taken. */
export const letsTwoWin: StoreVariant = ({ scheduler }) => {
  const bucket = createMemoryBucket();
  const store = bucket.open();
  const raceMs = 100;
  let before: { readonly etag: string; readonly untilMs: number } | null = null;
  return {
    bucket,
    store: {
      ...store,
      async put(request) {
        const { key, body, timeoutMs, condition } = request;
        const isInRace =
          condition?.kind === "match" &&
          before?.etag === condition.etag &&
          scheduler.nowMs() < before.untilMs;
        const result = await store.put(isInRace ? { key, body, timeoutMs } : request);
        if (result.kind === "stored" && condition?.kind === "match")
          before = { etag: condition.etag, untilMs: scheduler.nowMs() + raceMs };
        return result;
      },
    },
  };
};
