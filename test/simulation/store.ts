import { AppError } from "@baton/protocol";
import type { ObjectStore, StoredObject } from "@baton/storage";
import type { Random, Scheduler } from "@baton/storage/simulation";
import { type Disk, createDisk } from "./disk.ts";

/** A write may take so long from its credentials' check until it is there: the bound that a fence has to wait out. */
export const inFlightMs = 5_000;

/** As the machines' clocks begin. */
const wallStartMs = Date.UTC(2026, 0, 1);

/** Who writes data: the placement and the epoch for which its key was given. */
export interface DataKey {
  readonly placement: string;
  readonly epoch: number;
}

type Objects = Readonly<Record<string, StoredObject>>;

/** One bucket: conditions are judged when a write lands, credentials when it begins, as real stores do it. */
export interface SimulatedStore {
  /** With Baton's own key, which no fence touches. */
  readonly control: ObjectStore;
  data(key: DataKey): ObjectStore;
  disable(key: DataKey): void;
  isDisabled(key: DataKey): boolean;
  readonly objects: Objects;
  /** By the store's clock on the wall. */
  lastModifiedMs(key: string): number | null;
  powerCut(): void;
}

export const nameOfKey = ({ placement, epoch }: DataKey): string => `${placement} in epoch ${epoch}`;

export function createStore(params: {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly syncMs: () => number;
  /** After a write was taken; `by` is null for Baton's own. */
  readonly onWrite: (key: string, body: string, by: DataKey | null) => void;
}): SimulatedStore {
  const { scheduler, random, onWrite } = params;
  const disk: Disk<Objects> = createDisk({ initial: {}, syncMs: params.syncMs, scheduler });
  const disabled = new Set<string>();
  const modified = new Map<string, number>();
  let writes = 0;

  const open = (by: DataKey | null): ObjectStore => {
    const admit = (): void => {
      if (by !== null && disabled.has(nameOfKey(by)))
        throw new AppError("storage-credentials", `cannot use the key of ${nameOfKey(by)}: it is disabled`);
    };
    return {
      get: async ({ key }) => {
        admit();
        return disk.content[key] ?? null;
      },
      async put({ key, body, condition }) {
        admit();
        if (by !== null && random.chance(0.1))
          await new Promise<void>((resolve) =>
            scheduler.after(random.between(1, inFlightMs), `a write of ${nameOfKey(by)} lands`, resolve),
          );
        const there = disk.content[key]?.etag;
        const isRefused =
          condition !== undefined &&
          (condition.kind === "absent" ? there !== undefined : there !== condition.etag);
        if (isRefused) return { kind: "refused" };
        const etag = `"${(writes += 1)}"`;
        disk.write({ ...disk.content, [key]: { body: Buffer.from(body), etag } });
        modified.set(key, wallStartMs + scheduler.nowMs());
        onWrite(key, String(body), by);
        return { kind: "stored", etag };
      },
      remove: () => Promise.reject(new Error("nothing is removed here")),
    };
  };
  return {
    control: open(null),
    data: open,
    disable: (key) => void disabled.add(nameOfKey(key)),
    isDisabled: (key) => disabled.has(nameOfKey(key)),
    get objects() {
      return disk.content;
    },
    lastModifiedMs: (key) => modified.get(key) ?? null,
    powerCut: () => disk.powerCut(),
  };
}
