/** Real restic on a real S3 store, for a test file. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevStore, startDevStore } from "@baton/dev-store";
import { openRepository, type Repository, type RepositoryOptions } from "@baton/volumes";
import type { NeededPart } from "../reporter/needed-part.ts";

const programs = ["restic", "getfattr", "setfattr", "setpriv", "ionice"];
const absent = programs.filter((name) => spawnSync("which", [name]).status !== 0);

export const missing = absent.length > 0;
export const needs: NeededPart = { part: "restic", reason: `not on PATH: ${absent.join(", ")}` };

/** Long for what takes a second on an idle machine. */
export const limit = { deadlineMs: 60_000 };

export interface VolumeBed {
  readonly directory: string;
  readonly options: RepositoryOptions;
  open(changes?: Partial<RepositoryOptions>): Promise<Repository>;
  /** What the store has, with the file of each. */
  objects(): ReturnType<DevStore["log"]>;
  close(): Promise<void>;
}

export async function openVolumeBed(): Promise<VolumeBed> {
  const directory = await mkdtemp(join(tmpdir(), "baton-volumes-"));
  const credentials = { accessKeyId: "LEDGER", secretAccessKey: "the-store-key" };
  const allow = [{ bucket: "harbor", prefix: "ledger/", write: true }];
  const store = await startDevStore({
    directory: join(directory, "store"),
    keys: { buckets: ["harbor"], keys: [{ ...credentials, allow }] },
  });
  const options: RepositoryOptions = {
    program: "restic",
    storage: { endpoint: store.endpoint, region: "us-east-1", bucket: "harbor", prefix: "ledger/" },
    application: "ledger",
    credentials,
    key: "the-repository-key",
    cacheDirectory: join(directory, "cache"),
  };
  return {
    directory,
    options,
    open: (changes = {}) => openRepository({ ...options, ...changes }, limit),
    objects: () => store.log(),
    close: async () => {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
