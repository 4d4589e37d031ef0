import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CommitEntry, type DevStore, type StoreKey, startDevStore } from "@baton/dev-store";
import type { AccessKey, StorageManifest } from "@baton/protocol";

const bucket = "annex";
const may = (...prefixes: readonly string[]): StoreKey["allow"] =>
  prefixes.map((prefix) => ({ bucket, prefix, write: true }));
const key = (name: string, allow: StoreKey["allow"]): StoreKey => ({
  accessKeyId: name.toUpperCase(),
  secretAccessKey: `secret-of-${name}-0123456789`,
  allow,
});

const prefixes = ["idle/", "slow/", "picky/", "tide/", "quay/"];
const keys = {
  control: key("control", may(".baton/")),
  data: key("data", may(...prefixes)),
  dataB: key("dataB", may(...prefixes)),
  greedy: key("greedy", may("quay/", ".baton/")),
  elsewhere: key("elsewhere", may("elsewhere/")),
};
export type AnnexKey = keyof typeof keys;

/** Stores of our own, so that buckets, keys and manners can be wrong: one honest, one that ignores conditions. */
export interface Annex {
  /** A storage that works; `name` and `prefix` are for the taker to change. */
  readonly storage: StorageManifest;
  readonly deafEndpoint: string;
  readonly keys: Readonly<Record<AnnexKey, AccessKey>>;
  /** Writes a file for secrets. @returns its path. */
  readonly secret: (name: string, content: string) => Promise<string>;
  /** The path of the file of a key. */
  readonly secretOf: (name: AnnexKey) => string;
  /** Where `name` would be, with nothing there. */
  readonly pathOf: (name: string) => string;
  /** Every write that both stores took. */
  readonly log: () => readonly CommitEntry[];
  /** The honest store goes away, and comes back at the same address. */
  readonly stop: () => Promise<void>;
  readonly restart: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function openAnnex(): Promise<Annex> {
  const directory = await mkdtemp(join(tmpdir(), "baton-bad-input-"));
  const pathOf = (name: string): string => join(directory, name);
  const open = (name: string, port: number, ignoreConditions: boolean): Promise<DevStore> =>
    startDevStore({
      directory: pathOf(name),
      keys: { buckets: [bucket], keys: Object.values(keys) },
      port,
      faults: { ignoreConditions },
    });
  const secret = async (name: string, content: string): Promise<string> => {
    await writeFile(pathOf(name), content, { mode: 0o600 });
    return pathOf(name);
  };
  const accessKeys = Object.fromEntries(
    Object.entries(keys).map(([name, { accessKeyId, secretAccessKey }]) => [
      name,
      { accessKeyId, secretAccessKey },
    ]),
  ) as Record<AnnexKey, AccessKey>;
  const secretOf = (name: AnnexKey): string => pathOf(`${name}.key.json`);
  for (const [name, accessKey] of Object.entries(accessKeys))
    await secret(`${name}.key.json`, JSON.stringify(accessKey));

  let honest = await open("honest", 0, false);
  const deaf = await open("deaf", 0, true);
  const { endpoint } = honest;
  return {
    storage: {
      kind: "storage",
      name: "quay",
      endpoint,
      region: "us-east-1",
      bucket,
      prefix: "quay/",
      credentials: {
        control: { file: secretOf("control") },
        data: { file: secretOf("data") },
        dataByCluster: { "harbor-b": { file: secretOf("dataB") } },
      },
      settleMs: 50,
    },
    deafEndpoint: deaf.endpoint,
    keys: accessKeys,
    secret,
    secretOf,
    pathOf,
    log: () => [...honest.log(), ...deaf.log()],
    stop: () => honest.close(),
    async restart() {
      await honest.close();
      honest = await open("honest", Number(new URL(endpoint).port), false);
    },
    async close() {
      await Promise.all([honest.close(), deaf.close()]);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
