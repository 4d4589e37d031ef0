import { setTimeout as delay } from "node:timers/promises";
import {
  AppError,
  type HandedOver,
  type Rotation,
  type SecretReference,
  type StorageManifest,
  type StorageView,
} from "@baton/protocol";
import type { Inventory } from "@baton/storage/inventory";
import { inFlightSubject, probeSubject } from "../ports/probe-binding.ts";
import type { Catalog } from "../records/catalog.ts";
import type { ProbeRecords } from "../records/probe-records.ts";
import { rotateKeys } from "./rotate-keys.ts";
import type { StorageProbes } from "./storage-probes.ts";
import { inventoryOf } from "./take-inventory.ts";
import { fitnessOf } from "./verdict.ts";

/** Shorter than the 240 s for which the command waits. */
const answerMs = 230_000;

/** What people may ask of storages. A name that nobody declared is `unknown-storage`, which names those that there are. */
export interface StorageService {
  list(): Promise<readonly StorageView[]>;
  show(name: string): Promise<StorageView>;
  /** Looks anew and shows what was seen; also where the storage turned out unfit. @throws what the probe throws where it comes to no verdict. */
  probe(
    name: string,
    options: { readonly thorough: boolean; readonly inFlight: boolean },
  ): Promise<StorageView>;
  rotate(name: string, options: { readonly old?: SecretReference | undefined }): Promise<Rotation>;
  /** @throws what `inventoryOf` throws. */
  inventory(name: string, options: { readonly save?: string | undefined }): Promise<Inventory>;
  remove(name: string): Promise<void>;
}

export function createStorageService(params: {
  readonly catalog: Catalog;
  readonly records: ProbeRecords;
  readonly probes: StorageProbes;
  /** As `handOverKeys` does, for all that serves from this storage. */
  readonly handOver: (storage: string) => Promise<readonly HandedOver[]>;
}): StorageService {
  const { catalog, records, probes, handOver } = params;
  const view = async (manifest: StorageManifest): Promise<StorageView> => {
    const [probe, inFlight, users] = await Promise.all([
      records.probe(probeSubject(manifest)),
      records.inFlight(inFlightSubject(manifest)),
      catalog.usersOf(manifest.name),
    ]);
    return { manifest, ...fitnessOf(manifest, probe), probe, inFlight, applications: [...users] };
  };
  return {
    list: async () => Promise.all((await catalog.storages()).map(view)),
    show: async (name) => view(await catalog.storage(name)),
    async probe(name, { thorough, inFlight }) {
      const storage = await catalog.storage(name);
      await answered(`probe storage "${name}"`, async () => {
        const looks = [probes.probe(storage, { thorough }), ...(inFlight ? [probes.measure(storage)] : [])];
        const failed = (await Promise.allSettled<unknown>(looks)).find(({ status }) => status === "rejected");
        if (failed?.status === "rejected") throw failed.reason;
      });
      return view(await catalog.storage(name));
    },
    async rotate(name, { old }) {
      const storage = await catalog.storage(name);
      const users = await catalog.usersOf(name);
      return answered(`rotate the keys of storage "${name}"`, () =>
        rotateKeys({ storage, old, users, probes, handOver: () => handOver(name) }),
      );
    },
    async inventory(name, { save }) {
      const storage = await catalog.storage(name);
      return answered(`take the inventory of storage "${name}"`, () => inventoryOf(storage, save));
    },
    remove: (name) => catalog.removeStorage(name),
  };
}

/** What takes longer goes on and is recorded; whoever asked is told so. */
async function answered<T>(what: string, work: () => Promise<T>): Promise<T> {
  const over = new AbortController();
  const tooLate = delay(answerMs, undefined, { signal: over.signal, ref: false }).then(() => {
    throw new AppError(
      "deadline-exceeded",
      `cannot ${what} within ${answerMs} ms: it goes on; see what it saw with \`baton storage show\``,
    );
  });
  tooLate.catch(() => undefined);
  try {
    return await Promise.race([work(), tooLate]);
  } finally {
    over.abort();
  }
}
